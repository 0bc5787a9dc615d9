// A box that scrolls can be reached by keyboard, and only while it scrolls. All are
// measured before any is changed, or each change would cost a layout of the page.
const measure = new ResizeObserver((entries) => {
  const scrolls = entries.map(({ target }) => target.scrollWidth > target.clientWidth);
  entries.forEach(({ target }, at) => {
    if (scrolls[at]) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  });
});
for (const box of document.querySelectorAll(".scroll-box, div.highlight pre, .cell_output pre")) {
  measure.observe(box);
}
