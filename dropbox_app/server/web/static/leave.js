// "Leave quickly": by Escape too, three times, less than two seconds apart. Three, since one closes
// a search or a suggestion, and would cost a story that is half written. The page goes blank at
// once, and the other site takes its place in the history: Back leads past it.
(function () {
  var times = 0, last = 0, link = document.querySelector(".leave");
  function leave(event) {
    event.preventDefault();
    document.documentElement.hidden = true;
    location.replace(link.href);
  }
  link.addEventListener("click", leave);
  document.addEventListener("keydown", function (event) {
    if (event.repeat || event.isComposing) return;
    times = event.key !== "Escape" ? 0 : event.timeStamp - last < 2000 ? times + 1 : 1;
    last = event.timeStamp;
    if (times === 3) leave(event);
  });
  document.getElementById("escape").hidden = false; // only where it works is it said
})();
