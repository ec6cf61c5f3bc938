package dynamotest

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
)

// A decimal is a number as DynamoDB keeps it: up to 38 significant digits,
// value 0.digits × 10^exp. Zero has no digits.
type decimal struct {
	// neg is false for zero: there is no negative zero.
	neg    bool
	digits string // no leading and no trailing zero
	exp    int
}

const (
	maxDigits = 38
	maxExp    = 126  // below 10^126
	minExp    = -129 // 1E-130 is 0.1 × 10^-129
)

var (
	errNumber    = errors.New("The parameter cannot be converted to a numeric value")
	errPrecision = errors.New("Attempting to store more than 38 significant digits in a Number")
	errOverflow  = errors.New("Number overflow. Attempting to store a number with magnitude larger than supported range")
	errUnderflow = errors.New("Number underflow. Attempting to store a number with magnitude smaller than supported range")
)

// parseDecimal reads [+-]digits[.digits][e[+-]digits].
//
// The form is that of the service: no white space, no hexadecimal, no Inf and
// no NaN; leading and trailing zeros are dropped before digits are counted. An
// exponent that is absurd is cut to one that is still out of range, so that no
// arithmetic overflows.
func parseDecimal(s string) (decimal, error) {
	var d decimal
	rest := s
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		d.neg = rest[0] == '-'
		rest = rest[1:]
	}
	mantissa, exponent, hasExp := rest, "", false
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa, exponent, hasExp = rest[:i], rest[i+1:], true
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	if whole+frac == "" || !onlyDigits(whole) || !onlyDigits(frac) {
		return decimal{}, numberError(s)
	}
	if hasExp {
		e, err := strconv.Atoi(exponent)
		if err != nil {
			return decimal{}, numberError(s)
		}
		d.exp = min(max(e, -10_000), 10_000)
	}
	digits := strings.TrimLeft(whole+frac, "0")
	d.exp += len(whole) - (len(whole+frac) - len(digits))
	d.digits = strings.TrimRight(digits, "0")
	if d.digits == "" {
		return decimal{}, nil
	}
	switch {
	case len(d.digits) > maxDigits:
		return decimal{}, errPrecision
	case d.exp > maxExp:
		return decimal{}, errOverflow
	case d.exp < minExp:
		return decimal{}, errUnderflow
	}
	return d, nil
}

// numberError is DynamoDB's error for text that is no number, with the text if
// there is any.
func numberError(s string) error {
	if s == "" {
		return errNumber
	}
	return errors.New(errNumber.Error() + ": " + s)
}

// onlyDigits reports whether s has nothing but digits.
// It is true of the empty string.
func onlyDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// String is the plain form, without an exponent.
//
// It has up to 171 characters, as the service has no other form. parseDecimal
// of it is d again.
func (d decimal) String() string {
	if d.digits == "" {
		return "0"
	}
	sign := ""
	if d.neg {
		sign = "-"
	}
	switch n := len(d.digits); {
	case d.exp <= 0:
		return sign + "0." + strings.Repeat("0", -d.exp) + d.digits
	case d.exp >= n:
		return sign + d.digits + strings.Repeat("0", d.exp-n)
	default:
		return sign + d.digits[:d.exp] + "." + d.digits[d.exp:]
	}
}

// compare orders by value, exactly: 38 digits do not fit into a float64.
//
// It is -1, 0 or 1, as cmp.Compare has it.
func (d decimal) compare(e decimal) int {
	if c := cmp.Compare(d.sign(), e.sign()); c != 0 || d.digits == "" {
		return c
	}
	c := cmp.Compare(d.exp, e.exp)
	if c == 0 {
		// 0.digits without trailing zeros orders as text.
		c = strings.Compare(d.digits, e.digits)
	}
	if d.neg {
		return -c
	}
	return c
}

// sign is -1, 0 or 1; zero has no digits.
func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// size follows the developer guide: a byte for each two significant digits,
// and one more.
func (d decimal) size() int {
	if d.digits == "" {
		return 1
	}
	n := 1 + (len(d.digits)+1)/2
	if d.neg {
		n++
	}
	return n
}
