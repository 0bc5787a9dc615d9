// A box that scrolls can be reached by keyboard, and only while it scrolls. All are
// measured before any is changed, or each change would cost a layout of the page.
function measure(boxes) {
  const scrolls = boxes.map((box) => box.scrollWidth > box.clientWidth);
  boxes.forEach((box, at) => {
    if (scrolls[at]) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
}

const resized = new ResizeObserver((entries) => measure(entries.map(({ target }) => target)));
for (const box of document.querySelectorAll(".scroll-box, div.highlight pre, .cell_output pre")) {
  resized.observe(box);
  // Code has no width before it comes near, see house.css.
  box.addEventListener("contentvisibilityautostatechange", () => measure([box]));
}
