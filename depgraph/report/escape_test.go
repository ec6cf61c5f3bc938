package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/failopen/failopen/depgraph"
)

// Names come from files that anybody may write. Each format has one function
// that takes their power away; here is what each of them makes of the signs
// that mean something to its readers.

// rewrites tries a function on texts, given as pairs of input and output.
func rewrites(t *testing.T, name string, f func(string) string, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := f(pairs[i]); got != pairs[i+1] {
			t.Errorf("%s(%q) = %q, want %q", name, pairs[i], got, pairs[i+1])
		}
	}
}

func TestClean_leaves_only_what_is_printed_where_it_stands(t *testing.T) {
	rewrites(
		t, "clean", clean,
		"", "",
		"pay-eu", "pay-eu",
		"größe, 支払い ✓", "größe, 支払い ✓",
		"two words", "two words",
		"\x1b[31mred", `\u001b[31mred`,
		"a\nb\r\tc", `a\u000ab\u000d\u0009c`,
		"a\x00b\x7f", `a\u0000b\u007f`,
		"\u202eevil", `\u202eevil`, // right to left
		"zero\u200bwidth", `zero\u200bwidth`,
		"no\u00a0break", `no\u00a0break`,
		"line\u2028sep", `line\u2028sep`,
		"tag\U000e0041", `tag\U000e0041`, // four digits would be another sign and a 1
		"bad\xff\xfebytes", "bad\uFFFDbytes",
		`back\slash`, `back\slash`,
	)
	if n := testing.AllocsPerRun(100, func() { clean("an ordinary name") }); n != 0 {
		t.Errorf("a printable name costs %v allocations", n)
	}
}

func TestCleanLines_keeps_line_feeds_only(t *testing.T) {
	rewrites(
		t, "cleanLines", cleanLines,
		"one\ntwo", "one\ntwo",
		"one\r\ntwo\x1b", "one\\u000d\ntwo\\u001b",
		"\n\n", "\n\n",
	)
	if got := join([]string{"a", "b\nc"}); got != `a, b\u000ac` {
		t.Errorf("join: %q", got)
	}
}

func TestDotID_no_name_ends_its_quotes(t *testing.T) {
	rewrites(
		t, "dotID", dotID,
		"", `""`,
		"web", `"web"`,
		`say "hi"`, `"say \"hi\""`,
		`back\`, `"back\\"`,
		`\N`, `"\\N"`, // the name of the node, in a label
		`"]; evil [label="x`, `"\"]; evil [label=\"x"`,
		"a\nb", `"a\\u000ab"`,
		"<b>html</b>", `"<b>html</b>"`, // markup only without quotes
	)
}

func TestMermaidLabel_only_harmless_signs_stay(t *testing.T) {
	rewrites(
		t, "mermaidLabel", mermaidLabel,
		"pay-eu_1.2/x: (y)", "pay-eu_1.2/x: (y)",
		`"]`, "#34;#93;",
		"#quot;", "#35;quot#59;",
		"<img src=x>", "#60;img src#61;x#62;",
		"`code` **bold**", "#96;code#96; #42;#42;bold#42;#42;",
		"größe", "gr#246;#223;e",
		"a\nb", "a#92;u000ab",
		"%%{init}%%", "#37;#37;#123;init#125;#37;#37;",
	)
}

func TestMd_no_name_is_markup_or_notifies(t *testing.T) {
	rewrites(
		t, "md", md,
		"pay-eu", "pay-eu",
		"a|b", `a\|b`,
		"[a](javascript:alert(1))", `\[a\]\(javascript:alert\(1\)\)`,
		"<img src=x onerror=y>", "&lt;img src=x onerror=y&gt;",
		"a&amp;b", "a&amp;amp;b",
		"`code` *b* _i_ ~s~", "\\`code\\` \\*b\\* \\_i\\_ \\~s\\~",
		`back\slash`, `back\\slash`,
		"# title", `\# title`,
		"+ item", `\+ item`,
		"!image", `\!image`,
		"{x}", `\{x\}`,
		"@everyone", "@&#8203;everyone",
		"line\n# two", `line\\u000a\# two`,
	)
	if got := mdList([]string{"a", "a", "b|c", "a"}); got != `a, b\|c, a` {
		t.Errorf("mdList: %q", got)
	}
}

func TestSummaryText_is_HTML_and_not_Markdown(t *testing.T) {
	rewrites(
		t, "summaryText", summaryText,
		"no_direct_db", "no_direct_db",
		"</summary><script>", "&lt;/summary&gt;&lt;script&gt;",
		"a & b\n", `a &amp; b\u000a`,
		"@team", "@&#8203;team",
	)
}

func TestXMLEscape_holds_what_XML_can(t *testing.T) {
	rewrites(
		t, "xmlEscape", xmlEscape,
		"web", "web",
		`<a b="c">&'`, "&lt;a b=&#34;c&#34;&gt;&amp;&#39;",
		"]]>", "]]&gt;",
		"\x00\x0b\ufffe", `\u0000\u000b\ufffe`,
	)
}

func TestCodeSpan_no_command_ends_its_span(t *testing.T) {
	rewrites(
		t, "codeSpan", codeSpan,
		"curl -f localhost", "`curl -f localhost`",
		"echo `date`", "`` echo `date` ``",
		"a `` b", "``` a `` b ```",
		"`", "`` ` ``",
		" x", "`  x `",
		"rm -rf /\nreboot", "`rm -rf /\\u000areboot`",
		"<script>|", "`<script>|`",
	)
}

func TestGitHub_escapes_are_those_of_the_runner(t *testing.T) {
	rewrites(
		t, "githubData", githubData,
		"50 %, a:b", "50 %25, a:b",
		"one\ntwo", "one%0Atwo",
		"a%0Ab", "a%250Ab",
		"a\rb\x1b", `a\u000db\u001b`,
	)
	rewrites(
		t, "githubProperty", githubProperty,
		"DG001 a,b:c%", "DG001 a%2Cb%3Ac%25",
		"x\n::error::y", `x\u000a%3A%3Aerror%3A%3Ay`,
	)
}

func TestCSSWord_drops_the_rest(t *testing.T) {
	rewrites(
		t, "cssWord", cssWord,
		"DG001", "DG001",
		"az-AZ-09", "az-AZ-09",
		"`{@[/:", "", // their neighbours
		`my rule"><script>`, "myrulescript",
		"größe-2", "gre-2",
		"###", "",
	)
}

func TestShorten_cuts_in_the_middle(t *testing.T) {
	rewrites(
		t, "shorten", shorten,
		"checkout", "checkout",
		strings.Repeat("x", 24), strings.Repeat("x", 24),
		"checkout-service-in-eu-central-1", "checkout-servi…central-1",
		strings.Repeat("ü", 30), strings.Repeat("ü", 14)+"…"+strings.Repeat("ü", 9),
	)
}

func TestRelativeURI_is_a_relative_reference_whatever_the_name(t *testing.T) {
	rewrites(
		t, "relativeURI", relativeURI,
		"", "",
		"deploy/depgraph.yaml", "deploy/depgraph.yaml",
		"a b#c?d%e", "a%20b%23c%3Fd%25e",
		"javascript:alert(1)", "./javascript:alert%281%29", // no scheme
		"C:/x.yaml", "./C:/x.yaml",
		"dir/a:b.yaml", "dir/a:b.yaml",
		"//evil.example/x", "/.//evil.example/x", // no host
		"größe.yaml", "gr%C3%B6%C3%9Fe.yaml",
		"a\nb\xff", "a%0Ab%FF",
	)
}

func TestRelative_is_about_the_current_folder(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	rewrites(
		t, "relative", relative,
		"x.yaml", "x.yaml",
		"../x.yaml", "../x.yaml",
		filepath.Join(wd, "x.yaml"), "x.yaml",
		filepath.Join(wd, "dir", "x.yaml"), "dir/x.yaml",
		filepath.Join(wd, "..data", "x.yaml"), "..data/x.yaml", // as a ConfigMap mounts it
		filepath.Join(filepath.Dir(wd), "x.yaml"), filepath.Join(filepath.Dir(wd), "x.yaml"),
		filepath.Dir(wd), filepath.Dir(wd),
	)
}

func TestSARIFText_holds_no_link(t *testing.T) {
	rewrites(
		t, "sarifText", sarifText,
		"web needs db", "web needs db",
		"web\u202e\n", `web\u202e\u000a`,
		"one of [east, west]", "one of [east, west]",
		"[more](https://evil.example)", `\[more\](https://evil.example)`,
		"x [a] and [b](1)", `x \[a\] and \[b\](1)`,
	)
}

func TestBackstageName_is_valid_and_nobody_elses(t *testing.T) {
	rewrites(
		t, "backstageName", backstageName,
		"pay-eu_1.2", "pay-eu_1.2",
		"Pay", "Pay-723afa394dae",
		"a/b", "a-b-c14cddc033f6",
		"a--b", "a-b-90827a2e5636",
		"a-_.b", "a-b-c66da0b5c2ce",
		"-x-", "x-c6cf95e52d17",
		"!!!", "e84c538e7fe2",
		strings.Repeat("a", 63), strings.Repeat("a", 63),
		strings.Repeat("a", 64), strings.Repeat("a", 50)+"-ffe054fe7ae0",
		strings.Repeat("a", 49)+"."+strings.Repeat("b", 20), strings.Repeat("a", 49)+"-88fde82686c8", // not .- in the middle
	)
}

func TestPrinterList_wraps_below_its_label(t *testing.T) {
	names := []string{"alpha", "beta", "gamma", "delta", "a\x1bb"}
	for _, c := range []struct {
		what, label, want string
		opts              TextOptions
		names             []string
	}{
		{"one line", "down: ", "down: alpha, beta, gamma, delta, a\\u001bb\n", TextOptions{}, names},
		{"narrow", "down: ", "down: alpha, beta,\n      gamma, delta,\n      a\\u001bb\n", TextOptions{Width: 20}, names},
		{"exactly as wide", "down: ", "down: alpha, beta, gamma\n", TextOptions{Width: 24}, names[:3]},
		{"one less", "down: ", "down: alpha, beta,\n      gamma\n", TextOptions{Width: 23}, names[:3]},
		{"a label too long to indent to", "what goes down: ", "what goes down: alpha, beta,\n    gamma, delta, a\\u001bb\n", TextOptions{Width: 30}, names},
		{"a name wider than the line", "x: ", "x: alpha,\n   beta, gamma\n", TextOptions{Width: 14}, []string{"alpha", "beta", "gamma"}},
		{"no names", "down: ", "down:\n", TextOptions{}, nil},
		{"letters, not bytes", "fällt: ", "fällt: ä, ö, ü\n", TextOptions{Width: 14}, []string{"ä", "ö", "ü"}},
		{"a coloured label", "\x1b[1;31merror\x1b[0m DG009: ", "\x1b[1;31merror\x1b[0m DG009: alpha,\n             betagamma\n", TextOptions{Width: 26, Color: true}, []string{"alpha", "betagamma"}},
	} {
		var b strings.Builder
		p := newPrinter(&b, c.opts)
		p.list(c.label, c.names)
		if err := p.w.Flush(); err != nil || b.String() != c.want {
			t.Errorf("%s: %v\n%q, want\n%q", c.what, err, b.String(), c.want)
		}
	}
}

func TestPrinterList_is_cut_after_60_names_unless_all_are_wanted(t *testing.T) {
	var names []string
	for i := range 63 {
		names = append(names, "n"+itoa(i))
	}
	for _, c := range []struct {
		n    int
		opts TextOptions
		end  string
	}{
		{60, TextOptions{}, "n59\n"},
		{61, TextOptions{}, "n59, and 1 more (--all lists them)\n"},
		{63, TextOptions{}, "n59, and 3 more (--all lists them)\n"},
		{63, TextOptions{All: true}, "n62\n"},
	} {
		var b strings.Builder
		c.opts.Width = 1000
		p := newPrinter(&b, c.opts)
		p.list("", names[:c.n])
		if err := p.w.Flush(); err != nil || !strings.HasSuffix(b.String(), c.end) {
			t.Errorf("%d names, %+v: %v, %q", c.n, c.opts, err, b.String())
		}
	}
	if names[60] != "n60" {
		t.Error("the caller's names have changed")
	}
}

func TestNumbers_are_printed_as_people_read_them(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{count(0, "edge"), "0 edges"},
		{count(1, "edge"), "1 edge"},
		{count(2, "dependency"), "2 dependencies"},
		{count(1, "dependency"), "1 dependency"},
		{is(1, "edge"), "1 edge is"},
		{is(3, "edge"), "3 edges are"},
		{duration(0), "0s"},
		{duration(1500e6), "2s"},
		{duration(190e9), "3m10s"},
		{duration(250e6), "250ms"},
		{Percent(0), "0%"},
		{Percent(0.5), "50%"},
		{Percent(0.99), "99%"},
		{Percent(0.9995), "99.95%"},
		{Percent(0.999999), "99.9999%"},
		{Percent(0.9999999999), "99.99999999%"},
		{Percent(0.9999999999999), "99.999999999%"}, // not perfect, as 100% would say
		{Percent(1 - 1e-16), "99.999999999%"},
		{Percent(1), "100%"},
		{percent(0.9995), "99.95%"},
		{minutes(525.4), "525 min"},
		{minutes(1), "1 min"},
		{minutes(0.5), "30 s"},
		{minutes(1.0 / 60), "1 s"},
		{minutes(0.01), "< 1 s"},
		{minutes(0), "< 1 s"},
		{firstNames([]string{"a", "b", "c", "d", "e"}), "a, b, c, d, e"},
		{firstNames([]string{"a", "b", "c", "d", "e", "f", "g"}), "a, b, c, d, e and 2 more"},
		{upperFirst("a full start"), "A full start"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestDescribe_says_what_an_edge_is(t *testing.T) {
	both := depgraph.Startup | depgraph.Runtime
	for _, c := range []struct {
		want string
		dep  depgraph.Dependency
	}{
		{"hard startup+runtime", depgraph.Dependency{On: "b"}},
		{"soft runtime", depgraph.Dependency{On: "b", Soft: true, Phase: depgraph.Runtime}},
		{"weak startup", depgraph.Dependency{On: "b", Weak: true}},
		{"hard deploy control", depgraph.Dependency{On: "b", Phase: depgraph.Deploy, Plane: depgraph.Control}},
		{"hard startup until ready", depgraph.Dependency{On: "b", Phase: both, Until: depgraph.Ready}},
		{"any 2 of 3 startup+runtime (assumed)", depgraph.Dependency{AnyOf: []string{"b", "c", "d"}, Need: 2, Assumed: true}},
		{"soft any 1 of 2 startup+runtime", depgraph.Dependency{AnyOf: []string{"b", "c"}, Soft: true}},
	} {
		g, err := depgraph.Compile([]depgraph.Service{{Name: "a", Depends: []depgraph.Dependency{c.dep}}, {Name: "b"}, {Name: "c"}, {Name: "d"}}, depgraph.Options{})
		if err != nil {
			t.Fatal(err)
		}
		edges := g.EdgesFrom("a")
		if got := describe(edges[len(edges)-1]); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestCut_keeps_what_fits(t *testing.T) {
	rewrites(
		t, "cut", func(s string) string { return cut(s, 4) },
		"", "",
		"abcd", "abcd",
		"abcde", "abc…",
		"üüüü", "üüüü",
		"üüüüü", "üüü…",
	)
}
