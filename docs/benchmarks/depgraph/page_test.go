package depgraph

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/failopen/failopen/depgraph"
	"github.com/failopen/failopen/depgraph/importer"
)

// behind counts the edges on the page that run behind a box which is neither
// end, by walking along every path.
const behind = `(() => {
	const boxes = [...document.querySelectorAll(".node rect")].map((r) => ["x", "y", "width", "height"].map((k) => +r.getAttribute(k)));
	let n = 0;
	for (const p of document.querySelectorAll("#graph > .edge")) {
		const length = p.getTotalLength(), from = p.getPointAtLength(0), to = p.getPointAtLength(length);
		const end = ([x, y, w, h]) => [from, to].some((q) => q.x > x - 3 && q.x < x + w + 3 && q.y > y - 3 && q.y < y + h + 3);
		const others = boxes.filter((b) => !end(b));
		for (let at = 0; at < length; at += 4) {
			const q = p.getPointAtLength(at);
			if (others.some(([x, y, w, h]) => q.x > x + 1 && q.x < x + w - 1 && q.y > y + 1 && q.y < y + h - 1)) { n++; break; }
		}
	}
	return n;
})()`

// demo is the OpenTelemetry demo, if it is here; otherwise the shop.
func demo(t *testing.T) *depgraph.Graph {
	t.Helper()
	root := os.Getenv("FAILOPEN_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	file := filepath.Join(root, "otel-demo", "compose.yaml")
	if _, err := os.Stat(file); err != nil {
		t.Logf("no OpenTelemetry demo here: %v (set FAILOPEN_DATA)", err)
		return shop(t)
	}
	r, err := importer.Compose(file)
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestPage_edges_run_around_boxes(t *testing.T) {
	for name, g := range map[string]*depgraph.Graph{"demo": demo(t), "sixty": randomInput(5, 60, 4, true).ours(t), "cyclic": randomInput(2, 80, 3, false).ours(t)} {
		ctx := browser(t)
		if err := chromedp.Run(ctx, chromedp.Navigate(writePage(t, g)), chromedp.WaitReady("#services", chromedp.ByQuery)); err != nil {
			t.Fatal(err)
		}
		screenshot(t, ctx, "around-"+name)
		if n := evaluate[int](t, ctx, behind); n != 0 {
			t.Errorf("%s: %d edges run behind boxes", name, n)
		}
	}
}

func TestPage_focus_deep_link_and_groups(t *testing.T) {
	g := shop(t)
	page := writePage(t, g)
	ctx := browser(t)
	w := watch(ctx)
	shown := func() []string {
		return evaluate[[]string](t, ctx, `[...document.querySelectorAll(".node:not(.off):not(.hidden) title")].map((t) => t.textContent.split("\n")[0]).sort()`)
	}
	if err := chromedp.Run(ctx, chromedp.Navigate(page+"#checkout"), chromedp.WaitReady("#services", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	if got := evaluate[string](t, ctx, `document.querySelector("#panel h2").textContent`); got != "checkout" {
		t.Errorf("the link selects %q", got)
	}
	if got := evaluate[string](t, ctx, `getComputedStyle(document.querySelector(".node.selected text")).fill + " " + getComputedStyle(document.querySelector(".node.selected rect")).fill`); strings.Count(got, "rgb") != 2 || strings.Split(got, ") ")[0]+")" == strings.Split(got, ") ")[1] {
		t.Errorf("the selected service cannot be read: %s", got)
	}
	if err := chromedp.Run(ctx, chromedp.KeyEvent("f")); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(shown()); got != "[checkout db vault web]" {
		t.Errorf("one hop around checkout: %s", got)
	}
	screenshot(t, ctx, "focus")
	for _, c := range []struct{ hops, way, want string }{{"1", "needs", "[checkout db vault]"}, {"1", "needed", "[checkout web]"}, {"all", "needs", "[checkout consul db vault]"}, {"2", "needed", "[checkout web]"}} {
		evaluate[bool](t, ctx, fmt.Sprintf(`(() => { const set = (id, v) => { const s = document.getElementById(id); s.value = v; s.dispatchEvent(new Event("change")); }; set("hops", %q); set("direction", %q); return true; })()`, c.hops, c.way))
		if got := fmt.Sprint(shown()); got != c.want {
			t.Errorf("%s hops, %s: %s, want %s", c.hops, c.way, got, c.want)
		}
	}
	evaluate[bool](t, ctx, fmt.Sprintf("(%s)(%q)", clickNode, "ads"))
	if got := evaluate[string](t, ctx, `location.hash`); got != "#ads" {
		t.Errorf("the address says %q", got)
	}
	if err := chromedp.Run(ctx, chromedp.KeyEvent(kb.Escape)); err != nil {
		t.Fatal(err)
	}
	if got := shown(); len(got) != g.Len() || evaluate[string](t, ctx, `location.hash`) != "" {
		t.Errorf("after Esc: %v, address %q", got, evaluate[string](t, ctx, `location.hash`))
	}
	// Groups, and one of them opened.
	evaluate[bool](t, ctx, `(() => { const s = document.getElementById("group"); s.value = "o"; s.dispatchEvent(new Event("change")); return true; })()`)
	if n := evaluate[int](t, ctx, `document.querySelectorAll("#groups .group").length`); n != 6 {
		t.Errorf("%d owners, want 6", n)
	}
	if visible := evaluate[bool](t, ctx, `getComputedStyle(document.querySelector(".node")).display !== "none"`); visible {
		t.Error("services are drawn below their groups")
	}
	screenshot(t, ctx, "groups")
	evaluate[bool](t, ctx, `(() => { [...document.querySelectorAll("#groups .group")].find((g) => g.getAttribute("aria-label").startsWith("team-net,")).dispatchEvent(new MouseEvent("click", {bubbles: true})); return true; })()`)
	if got := fmt.Sprint(shown()); got != "[east west]" {
		t.Errorf("the opened group: %s", got)
	}
	w.check(t, strings.TrimSuffix(page, "#checkout"))
}

// TestPage_what_if_follows_the_engine softens every hard edge in turn, by
// clicking it, and compares what is blocked, and the blast radius, with Go.
func TestPage_what_if_follows_the_engine(t *testing.T) {
	g := shop(t)
	ctx := browser(t)
	if err := chromedp.Run(ctx, chromedp.Navigate(writePage(t, g)), chromedp.WaitReady("#services", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	for e := range g.Edges() {
		if e.Soft {
			continue
		}
		fixed, err := g.WithSoft(depgraph.EdgeRef{From: e.From, To: e.To})
		if err != nil {
			t.Fatal(err)
		}
		evaluate[bool](t, ctx, fmt.Sprintf(`(() => { const p = [...document.querySelectorAll("#graph > .edge")].find((p) => p.textContent.startsWith(%q)); p.dispatchEvent(new MouseEvent("click", {bubbles: true})); document.querySelector("#edge-whatif button").click(); return true; })()`, e.From+" needs "+e.To+"\n"))
		_, blocked := fixed.Waves()
		got := evaluate[[]string](t, ctx, `[...document.querySelectorAll(".node.blocked title")].map((t) => t.textContent.split("\n")[0]).sort()`)
		if !slices.Equal(got, blocked) && len(got)+len(blocked) > 0 {
			t.Errorf("without %s -> %s: blocked %q, want %q", e.From, e.To, got, blocked)
		}
		if text := evaluate[string](t, ctx, `document.getElementById("whatif").textContent`); !strings.Contains(text, fmt.Sprintf("%d blocked instead of 4", len(blocked))) {
			t.Errorf("without %s -> %s: %q", e.From, e.To, text)
		}
		evaluate[bool](t, ctx, fmt.Sprintf("(%s)(%q)", clickNode, e.To))
		b, err := fixed.Blast(depgraph.BlastOptions{}, e.To)
		if err != nil {
			t.Fatal(err)
		}
		if down := evaluate[[]string](t, ctx, fmt.Sprintf("(%s)(%q)", listOf, "down")); strings.Join(down, " ") != strings.Join(b.Down, " ") {
			t.Errorf("without %s -> %s, if %s fails: %q, want %q", e.From, e.To, e.To, down, b.Down)
		}
		screenshot(t, ctx, "whatif")
		if err := chromedp.Run(ctx, chromedp.KeyEvent(kb.Escape)); err != nil {
			t.Fatal(err)
		}
		if text := evaluate[string](t, ctx, `document.getElementById("whatif").textContent`); text != "" {
			t.Errorf("after Esc: %q", text)
		}
	}
}

func TestPage_of_many_services_begins_with_groups_and_is_walked_by_keys(t *testing.T) {
	ctx := browser(t)
	if err := chromedp.Run(ctx, chromedp.Navigate(writePage(t, randomInput(4, 1000, 4, true).ours(t))), chromedp.WaitReady("#services", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	if n := evaluate[int](t, ctx, `document.querySelectorAll("#groups .group").length`); n < 2 {
		t.Errorf("%d groups", n)
	}
	screenshot(t, ctx, "thousand")
	if n := evaluate[int](t, ctx, `document.querySelectorAll('.node[tabindex="0"]').length`); n != 1 {
		t.Errorf("%d tab stops among the services, want 1", n)
	}
	evaluate[bool](t, ctx, fmt.Sprintf("(%s)(%q)", clickNode, name(10)))
	screenshot(t, ctx, "thousand-selected")
	if height := evaluate[float64](t, ctx, `document.querySelector(".node.selected text").getBoundingClientRect().height`); height < 9 {
		t.Errorf("the label of the selected service is %.1f pixels high", height)
	}
	before := evaluate[string](t, ctx, `(() => { document.querySelector(".node.selected").focus(); return document.activeElement.getAttribute("aria-label"); })()`)
	if err := chromedp.Run(ctx, chromedp.KeyEvent(kb.ArrowRight)); err != nil {
		t.Fatal(err)
	}
	if after := evaluate[string](t, ctx, `document.activeElement.getAttribute("aria-label") || ""`); after == before || !strings.HasPrefix(after, "service-") {
		t.Errorf("the arrow key leads from %q to %q", before, after)
	}
}

func TestPage_of_a_huge_system_is_tables(t *testing.T) {
	g := randomInput(6, 6000, 4, true).ours(t)
	page := writePage(t, g)
	info, err := os.Stat(strings.TrimPrefix(page, "file://"))
	if err != nil || info.Size() > 5<<20 {
		t.Errorf("%v, %v; want at most 5 MiB", info, err)
	}
	ctx := browser(t)
	w := watch(ctx)
	if err := chromedp.Run(ctx, chromedp.Navigate(page), chromedp.WaitReady("#findings", chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"cycles", "order", "services", "groups", "findings"} {
		if n := evaluate[int](t, ctx, fmt.Sprintf(`document.querySelectorAll("#%s tr").length`, id)); n < 1 {
			t.Errorf("section %s is empty", id)
		}
	}
	screenshot(t, ctx, "huge")
	w.check(t, page)
}
