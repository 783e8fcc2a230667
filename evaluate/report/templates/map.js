// Shows an image of the map at its size, where a pointer or the keys have come to. One image can be
// reached by the tab key, the others from there by arrows.
function showCloser(map, picture) {
  const panel = map.querySelector(".closer");
  const large = document.createElement("img");
  large.src = picture.querySelector("image").getAttribute("href");
  large.alt = "";
  panel.replaceChildren(large, picture.getAttribute("aria-label"));
  panel.hidden = false;
}

// Nothing covers a picture that is drawn last. The others move: what moves itself loses the focus.
function raise(picture) {
  while (picture.nextElementSibling !== null) picture.before(picture.nextElementSibling);
}

// The nearest picture in a direction: one that is mostly ahead, not mostly aside. Of pictures on the
// same place each lies to the left of the next one.
function pictureToward(pictures, from, [right, down]) {
  const place = (picture) => ["x", "y"].map((key) => Number(picture.querySelector("image").getAttribute(key)));
  const [x, y] = place(from);
  const twins = pictures.filter((picture) => String(place(picture)) === String([x, y]));
  const twin = twins[twins.indexOf(from) + right + down];
  if (twin !== undefined) return twin;
  let best = null;
  let least = Infinity;
  for (const picture of pictures) {
    const [otherX, otherY] = place(picture);
    const ahead = (otherX - x) * right + (otherY - y) * down;
    const aside = Math.abs((otherX - x) * down) + Math.abs((otherY - y) * right);
    if (ahead > 0 && aside <= ahead && ahead + aside < least) [best, least] = [picture, ahead + aside];
  }
  return best;
}

const arrows = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
for (const map of document.querySelectorAll(".map")) {
  const pictures = [...map.querySelectorAll(".picture")];
  for (const picture of pictures) {
    picture.setAttribute("tabindex", picture === pictures[0] ? "0" : "-1");
    picture.addEventListener("pointerenter", () => showCloser(map, picture));
    picture.addEventListener("focus", () => {
      for (const other of pictures) other.setAttribute("tabindex", other === picture ? "0" : "-1");
      raise(picture);
      showCloser(map, picture);
    });
    picture.addEventListener("keydown", (event) => {
      if (!(event.key in arrows)) return;
      event.preventDefault();
      pictureToward(pictures, picture, arrows[event.key])?.focus();
    });
  }
  map.querySelector(".keys").hidden = false;
  showCloser(map, pictures[0]);
}
