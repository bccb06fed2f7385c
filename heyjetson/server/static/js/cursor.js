// What moves along while a recording plays.

/** Call `look` at every frame while a player plays, and whenever its place changes. */
export function whilePlaying(player, look) {
  let frame = 0;
  const run = () => {
    cancelAnimationFrame(frame); // one at a time: players tell their time while they play, too
    look();
    if (!player.paused && !player.ended) frame = requestAnimationFrame(run);
  };
  for (const event of ["play", "seeked", "timeupdate", "loadedmetadata"]) player.addEventListener(event, run);
}

/** Where a time lies in a chart of plotly, in pixels from its left edge; null where the chart does not show it. */
export function pixel(node, seconds) {
  const layout = node._fullLayout;
  if (!layout?.xaxis || !layout._size) return null;
  const [low, high] = layout.xaxis.range;
  const share = (seconds - low) / (high - low);
  return share < 0 || share > 1 ? null : layout._size.l + share * layout._size.w;
}

/** Move every `.cursor` in a node, beside its `.plot`, with a player. */
export function follow(player, node) {
  const place = () => {
    for (const cursor of node.querySelectorAll(".cursor")) {
      const x = pixel(cursor.parentElement.querySelector(".plot"), player.currentTime);
      cursor.hidden = x === null;
      if (x !== null) cursor.style.transform = `translateX(${x - 1}px)`;
    }
  };
  whilePlaying(player, place);
  new ResizeObserver(() => requestAnimationFrame(place)).observe(node);
  node.addEventListener("drawn", place);
}
