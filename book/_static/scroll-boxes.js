// A box that scrolls can be reached by keyboard, and only while it scrolls.
for (const box of document.querySelectorAll(".scroll-box, div.highlight pre, .cell_output pre")) {
  new ResizeObserver(() => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }).observe(box);
}
