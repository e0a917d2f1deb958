"use strict";
// Replaces what is shown with a newer page, and keeps open what is open.
async function refresh() {
	if (!document.hidden && getSelection().isCollapsed) {
		try {
			const answer = await fetch(location.href);
			if (!answer.ok) throw new Error(answer.statusText);
			const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
			for (const details of next.querySelectorAll("details"))
				details.open = document.getElementById(details.id)?.open ?? false;
			document.querySelector("main").replaceWith(next);
			document.body.className = "";
		} catch {
			document.body.className = "stale";
		}
	}
	setTimeout(refresh, 2000);
}
setTimeout(refresh, 2000);
