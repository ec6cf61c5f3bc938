package dynamotest

import (
	"strings"
	"testing"
)

func TestDecimal(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0.00": "0", "+1": "1", "10": "10", "0.10": "0.1", "1e-3": "0.001", "12.34E2": "1234", ".5": "0.5", "5.": "5",
		"9.9999999999999999999999999999999999999E+125": "99999999999999999999999999999999999999" + strings.Repeat("0", 88),
		"1e-130": "0." + strings.Repeat("0", 129) + "1",
	} {
		if d, err := parseDecimal(in); err != nil || d.String() != want {
			t.Errorf("%s: %s, %v; want %s", in, d, err, want)
		}
	}
	ordered := []string{"-1e10", "-10", "-9.5", "-0.1", "0", "0.09", "0.1", "0.11", "9", "9.5", "10", "1e10"}
	for i, a := range ordered {
		for j, b := range ordered {
			x, errX := parseDecimal(a)
			y, errY := parseDecimal(b)
			if got := x.compare(y); errX != nil || errY != nil || (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
}

// A condition is either refused, or can be evaluated on anything.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{
		"attribute_not_exists(#n) OR #n <= :n OR #n > :n", "NOT (a = :n AND b[0].c <> :n)", "a BETWEEN :n AND :n", "size(a) > :n",
		"a IN (:n, :n)", "begins_with(a, :n)", "((((", "a.b[", "contains(a.b.c[1][2], :n)", "attribute_type(a, :n)",
	} {
		f.Add(s)
	}
	one := &value{kind: "N", num: decimal{digits: "1", exp: 1}}
	list := &value{kind: "L", list: []value{*one, {kind: "M", m: map[string]*value{"c": one}}}}
	f.Fuzz(func(t *testing.T, text string) {
		x := expression{names: map[string]string{"#n": "a"}, values: map[string]*value{":n": one}, used: map[string]bool{}}
		c, err := x.parseCondition(text)
		if err != nil {
			return
		}
		for _, it := range []item{nil, {"a": one}, {"a": list, "b": list}, {"a": {kind: "S", str: "x"}}} {
			c(it)
		}
	})
}

// What a value reads, it writes, and reads again as the same.
func FuzzValue(f *testing.F) {
	for _, s := range []string{
		`{"S":"a"}`, `{"N":"-1.50e3"}`, `{"B":"AP8="}`, `{"BOOL":true}`, `{"NULL":true}`, `{"L":[{"S":""}]}`, `{"M":{"x":{"N":"0"}}}`,
		`{"SS":["a","b"]}`, `{"NS":["1","1.0"]}`, `{"BS":[""]}`, `{"S":"\ud800"}`, `{"M":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, again value
		if v.decode(data, 1) != nil {
			return
		}
		text := v.append(nil)
		if err := again.decode(text, 1); err != nil || !v.equal(&again) || v.size() != again.size() {
			t.Fatalf("%s became %s: %v", data, text, err)
		}
	})
}
