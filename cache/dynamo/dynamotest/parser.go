package dynamotest

import (
	"fmt"
	"strings"
)

// parser is a recursive descent over tokens. It panics with a syntaxError,
// which run turns into an error.
type parser struct {
	// x has the placeholders; the same for all expressions of a request.
	x *expression
	// what is the parameter's name, for errors.
	what   string
	text   string
	tokens []string
	// pos is the next token's place in tokens.
	pos int
	// depth counts brackets and NOTs, operators what operator() has
	// counted; both are bounded.
	depth int

	operators int
}

// syntaxError is the service's text for what is wrong, without "Invalid …:"
// before it.
type syntaxError string

// run parses text with parse, which must take all of it. Below it, syntax
// errors are panics of a type of their own: a recursive descent in which each
// step would have to check an error hides the grammar. No other panic is
// caught.
//
// The placeholders themselves are checked first, then length, emptiness, and at
// last the grammar.
func (p *parser) run(text string, parse func()) (err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case syntaxError:
			err = validation("Invalid %s: %s", p.what, string(e))
		default:
			panic(e)
		}
	}()
	if err := p.x.placeholders(); err != nil {
		return err
	}
	if len(text) > maxExpression {
		panic(syntaxError(fmt.Sprintf("Expression size has exceeded the maximum allowed size; expression size: %d", len(text))))
	}
	if strings.TrimSpace(text) == "" {
		panic(syntaxError("The expression can not be empty;"))
	}
	p.text, p.tokens = text, tokenize(text)
	parse()
	if p.pos < len(p.tokens) {
		p.fail()
	}
	return nil
}

// tokenize splits text into words, placeholders, operators and brackets. A
// character that begins none of them becomes a token that no rule accepts.
//
// Tokens are slices of text and never empty. A name with a dash or a dot falls
// apart into several, which is why such names need placeholders.
func tokenize(text string) []string {
	var tokens []string
	for i := 0; i < len(text); {
		c := text[i]
		j := i + 1
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case isWord(c) || c == '#' || c == ':':
			for j < len(text) && isWord(text[j]) {
				j++
			}
		case c == '<' || c == '>':
			if j < len(text) && (text[j] == '=' || c == '<' && text[j] == '>') {
				j++
			}
		}
		tokens = append(tokens, text[i:j])
		i = j
	}
	return tokens
}

// isWord reports whether a byte may be in a word or a placeholder: ASCII
// letters, digits and the underscore.
func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// peek is the next token, with the service's word for the end.
func (p *parser) peek() string {
	if p.pos < len(p.tokens) {
		return p.tokens[p.pos]
	}
	return "<EOF>"
}

// next takes a token. At the end it goes on counting, which no rule minds.
func (p *parser) next() string {
	t := p.peek()
	p.pos++
	return t
}

// accept consumes the next token if it is t; keywords in any case.
func (p *parser) accept(t string) bool {
	if p.pos < len(p.tokens) && strings.EqualFold(p.tokens[p.pos], t) {
		p.pos++
		return true
	}
	return false
}

// expect takes the token t, or fails.
func (p *parser) expect(t string) {
	if !p.accept(t) {
		p.fail()
	}
}

// fail ends the parse at the next token, in the service's words; it does not
// return.
func (p *parser) fail() {
	panic(syntaxError(fmt.Sprintf("Syntax error; token: %q, near: %q", p.peek(), p.near())))
}

// near is the text from the token before to the one after.
//
// It is found by walking through text, token by token, since tokens do not keep
// their places: O(len(text)), for an error only.
func (p *parser) near() string {
	start, end := 0, 0
	for i, token := range p.tokens {
		at := end + strings.Index(p.text[end:], token)
		if i == max(0, p.pos-1) {
			start = at
		}
		if end = at + len(token); i == p.pos+1 {
			break
		}
	}
	return p.text[start:end]
}
