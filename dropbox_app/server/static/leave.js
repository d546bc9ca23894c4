// Escape three times, less than two seconds apart: leave, as the link "leave quickly" does.
// Three, since one closes a search or a suggestion, and would cost a story that is half written.
(function () {
  var times = 0, last = 0;
  document.getElementById("escape").hidden = false; // only where it works is it said
  document.addEventListener("keydown", function (event) {
    if (event.repeat || event.isComposing) return;
    times = event.key !== "Escape" ? 0 : event.timeStamp - last < 2000 ? times + 1 : 1;
    last = event.timeStamp;
    if (times < 3) return;
    document.documentElement.hidden = true; // at once, however slow the way out is
    location.replace(document.querySelector(".leave").href);
  });
})();
