package rounds

import "testing"

func TestOf_scales_by_the_environment(t *testing.T) {
	part := 1
	if Short() {
		part = 10
	}
	for _, c := range []struct {
		scale   string
		n, want int
	}{
		{"", 1000, 1000 / part},
		{"2.5", 1000, 2500 / part},
		{"0.1", 1000, 100 / part},
		{"0.0001", 1000, 1}, // at least one round
		{"", 1, 1},
	} {
		t.Setenv("FAILOPEN_ROUNDS", c.scale)
		if got := Of(c.n); got != c.want {
			t.Errorf("FAILOPEN_ROUNDS=%q: %d of %d; want %d", c.scale, got, c.n, c.want)
		}
	}
}

// A number that is none must not make tests of nothing.
func TestOf_refuses_what_is_no_number(t *testing.T) {
	for _, scale := range []string{"many", "0", "-1"} {
		func() {
			defer func() {
				if want := `FAILOPEN_ROUNDS is "` + scale + `", it must be a number above 0`; recover() != want {
					t.Errorf("%q: want a panic that says %s", scale, want)
				}
			}()
			t.Setenv("FAILOPEN_ROUNDS", scale)
			Of(10)
		}()
	}
}
