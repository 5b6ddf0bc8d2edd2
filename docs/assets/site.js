// The theme puts every copy button into a navigation landmark without a name. It is no landmark.
new MutationObserver(() => {
  for (const frame of document.querySelectorAll("nav.md-code__nav:not([role])")) {
    frame.setAttribute("role", "none");
  }
}).observe(document.body, { childList: true, subtree: true });
