/* What the HTML report does beyond being read: light or dark, the flame graph's zoom, search and keys, folding. It
 * reads the page alone: every frame of the graph carries its parent (data-p) and its counts (data-v: stuck,
 * CLOSE_WAIT, open), in an order in which parents come first. */
"use strict";

(() => {
	const root = document.documentElement;
	root.classList.add("scripted");

	/* ---- light or dark ---- */

	document.getElementById("theme").addEventListener("click", () => {
		const isDark = root.dataset.theme
			? root.dataset.theme === "dark"
			: matchMedia("(prefers-color-scheme: dark)").matches;
		root.dataset.theme = isDark ? "light" : "dark";
	});

	/* ---- folding; paper has nothing to click on ---- */

	const setAll = (isOpen) => {
		for (const details of document.querySelectorAll("details.site"))
			details.open = isOpen;
	};
	const unfold = document.getElementById("unfold");
	if (unfold)
		unfold.addEventListener("click", () => {
			const isOpening = unfold.textContent === "Open all";
			setAll(isOpening);
			unfold.textContent = isOpening ? "Close all" : "Open all";
		});
	let folded = [];
	addEventListener("beforeprint", () => {
		folded = [...document.querySelectorAll("details:not([open])")];
		folded.forEach((details) => (details.open = true));
	});
	addEventListener("afterprint", () => {
		folded.forEach((details) => (details.open = false));
	});

	/* ---- the flame graph ---- */

	const graph = document.getElementById("flame");
	if (!graph)
		return;
	const names = ["stuck", "CLOSE_WAIT", "open"];
	const search = document.getElementById("search");
	const whole = document.getElementById("whole");
	const found = document.getElementById("found");
	const shown = document.getElementById("shown");
	let measure = Number(graph.dataset.measure);

	const frames = [...graph.children].map((element) => ({
		element,
		text: element.title,
		lower: element.title.toLowerCase(),
		counts: element.dataset.v.split(" ").map(Number),
		parent: null,
		children: [],
		depth: 0,
		left: 0,
	}));
	frames.forEach((frame) => {
		const parent = Number(frame.element.dataset.p);
		if (parent < 0)
			return;
		frame.parent = frames[parent];
		frame.depth = frame.parent.depth + 1;
		frame.parent.children.push(frame);
	});
	const top = frames[0];
	let zoomed = top;
	let current = top;

	const count = (frame) => frame.counts[measure];
	const group = (number) => number.toLocaleString("en-US");
	const share = (part, of) => {
		const percent = of ? (100 * part) / of : 0;
		return percent > 0 && percent < 1 ? "<1 %" : `${Math.floor(percent)} %`;
	};
	const isBelow = (frame, ancestor) => {
		for (; frame; frame = frame.parent)
			if (frame === ancestor)
				return true;
		return false;
	};

	/* Places every frame for the measure and the zoom; what lies beside the zoom is hidden. */
	const place = () => {
		frames.forEach((frame) => {
			let left = frame.left;
			frame.children.forEach((child) => {
				child.left = left;
				left += count(child);
			});
		});
		const from = zoomed.left;
		const width = count(zoomed) || 1;
		frames.forEach((frame) => {
			const isAbove = frame !== zoomed && isBelow(zoomed, frame);
			const isShown = count(frame) > 0 && (isAbove || isBelow(frame, zoomed));
			const style = frame.element.style;
			frame.element.hidden = !isShown;
			frame.element.classList.toggle("above", isAbove);
			style.left = isAbove ? "0" : `${(100 * (frame.left - from)) / width}%`;
			style.width = isAbove ? "100%" : `${(100 * count(frame)) / width}%`;
		});
		whole.disabled = zoomed === top;
	};

	const tell = (frame) => {
		shown.textContent =
			`${frame.text}: ${group(count(frame))} ${names[measure]}, ${share(count(frame), count(top))}` +
			(zoomed === top ? "" : ` of all, ${share(count(frame), count(zoomed))} of what is shown`);
	};

	const focus = (frame) => {
		current.element.tabIndex = -1;
		current = frame;
		current.element.tabIndex = 0;
		current.element.focus();
	};

	const zoom = (frame) => {
		zoomed = frame;
		place();
		tell(frame);
	};

	/* Matches, and how many connections pass through one; a match inside a match counts once. */
	const look = () => {
		const wanted = search.value.trim().toLowerCase();
		let sum = 0;
		frames.forEach((frame) => {
			frame.isFound = wanted !== "" && frame.lower.includes(wanted);
			frame.isWithin = frame.parent !== null && (frame.parent.isFound || frame.parent.isWithin);
			frame.element.classList.toggle("found", frame.isFound);
			if (frame.isFound && !frame.isWithin)
				sum += count(frame);
		});
		found.textContent = wanted === "" ? "" : `${group(sum)} ${names[measure]}, ${share(sum, count(top))}`;
	};

	const measureButtons = [...document.querySelectorAll("[data-measure]")].filter(
		(element) => element !== graph,
	);
	measureButtons.forEach((button) => {
		button.addEventListener("click", () => {
			measure = Number(button.dataset.measure);
			measureButtons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
			document.getElementById("measured").textContent = names[measure];
			zoomed = count(zoomed) ? zoomed : top;
			place();
			look();
			tell(zoomed);
		});
	});

	const sibling = (frame, step) => {
		const row = frames.filter((other) => other.depth === frame.depth && !other.element.hidden);
		row.sort((a, b) => a.left - b.left);
		return row[row.indexOf(frame) + step];
	};
	const keys = {
		Enter: () => zoom(current),
		" ": () => zoom(current),
		ArrowDown: () => current.children.filter(count).sort((a, b) => count(b) - count(a))[0],
		ArrowUp: () => current.parent,
		ArrowLeft: () => sibling(current, -1),
		ArrowRight: () => sibling(current, 1),
		Home: () => zoomed,
	};
	graph.addEventListener("keydown", (event) => {
		const key = keys[event.key];
		if (!key || event.ctrlKey || event.altKey || event.metaKey)
			return;
		event.preventDefault();
		const next = key();
		if (next && !next.element.hidden)
			focus(next);
	});
	document.addEventListener("keydown", (event) => {
		if (event.key === "/" && event.target !== search) {
			event.preventDefault();
			search.focus();
		} else if (event.key === "Escape") {
			search.value = "";
			look();
			zoom(top);
		}
	});

	graph.setAttribute("role", "tree");
	graph.setAttribute("aria-label", "Flame graph of connections");
	frames.forEach((frame) => {
		const element = frame.element;
		element.tabIndex = frame === top ? 0 : -1;
		element.setAttribute("role", "treeitem");
		element.setAttribute("aria-level", String(frame.depth + 1));
		element.addEventListener("click", () => {
			focus(frame);
			zoom(frame);
		});
		element.addEventListener("focus", () => tell(frame));
		element.addEventListener("mouseenter", () => tell(frame));
	});
	graph.addEventListener("mouseleave", () => tell(current));
	whole.addEventListener("click", () => zoom(top));
	search.addEventListener("input", look);
	tell(top);
})();
