package dynamotest

import (
	"fmt"
	"strings"
)

// parser is a recursive descent over tokens. It panics with a syntaxError,
// which run turns into an error.
type parser struct {
	x      *expression
	what   string
	text   string
	tokens []string
	pos    int
	depth  int

	operators int
}

type syntaxError string

// run parses text with parse, which must take all of it. Below it, syntax
// errors are panics of a type of their own: a recursive descent in which each
// step would have to check an error hides the grammar. No other panic is
// caught.
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

func (p *parser) expect(t string) {
	if !p.accept(t) {
		p.fail()
	}
}

func (p *parser) fail() {
	panic(syntaxError(fmt.Sprintf("Syntax error; token: %q, near: %q", p.peek(), p.near())))
}

// near is the text from the token before to the one after.
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
