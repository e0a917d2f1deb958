"use strict";
// Brings what is shown up to date in place: what has the focus keeps it, what is open stays open, and nothing scrolls.
function update(old, next) {
	if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName || old.id !== next.id) {
		old.replaceWith(next);
		return;
	}
	if (old.nodeType === Node.TEXT_NODE) {
		if (old.data !== next.data) old.data = next.data;
		return;
	}
	if (old.nodeType !== Node.ELEMENT_NODE) return;
	for (const { name } of [...old.attributes])
		if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
	for (const { name, value } of [...next.attributes])
		if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
	updateChildren(old, [...next.childNodes]);
}
// Elements with an id are found again wherever they have moved; others are compared in order.
function updateChildren(parent, next) {
	const known = new Map();
	for (const child of parent.children) if (child.id) known.set(child.id, child);
	let at = parent.firstChild;
	for (const wanted of next) {
		const same = wanted.id && known.get(wanted.id);
		if (same) {
			if (same === at) at = at.nextSibling;
			else if (!same.contains(document.activeElement)) parent.insertBefore(same, at);
			else while (at && at !== same) { // moving what has the focus would take it away: move the others
				const other = at;
				at = at.nextSibling;
				parent.insertBefore(other, same.nextSibling);
			}
			if (at === same) at = at.nextSibling;
			update(same, wanted);
		} else if (at && !at.id && !wanted.id) {
			const here = at;
			at = at.nextSibling;
			update(here, wanted);
		} else {
			parent.insertBefore(wanted, at);
		}
	}
	while (at) {
		const gone = at;
		at = at.nextSibling;
		gone.remove();
	}
}
async function refresh() {
	if (!document.hidden && getSelection().isCollapsed) {
		try {
			const answer = await fetch(location.href);
			if (!answer.ok) throw new Error(answer.statusText);
			const next = new DOMParser().parseFromString(await answer.text(), "text/html");
			document.title = next.title;
			update(document.querySelector("main"), next.querySelector("main"));
			document.body.className = "";
		} catch {
			document.body.className = "stale";
		}
	}
	setTimeout(refresh, 2000);
}
setTimeout(refresh, 2000);
