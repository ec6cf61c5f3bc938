package wasmrule_test

// A small assembler: enough of the binary format of WebAssembly for modules
// that do one thing.

func leb(n uint64) (out []byte) {
	for {
		b := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func vec(items ...[]byte) []byte {
	out := leb(uint64(len(items)))
	for _, it := range items {
		out = append(out, it...)
	}
	return out
}

func str(s string) []byte { return append(leb(uint64(len(s))), s...) }

func section(id byte, content []byte) []byte {
	return append(append([]byte{id}, leb(uint64(len(content)))...), content...)
}

// The types of functions that modules here use.
const (
	tNone   = iota // ()
	tExit          // (i32)
	tFour          // (i32 i32 i32 i32) -> i32
	tOpen          // path_open
	tNumber        // () -> i32
)

var types = vec(
	[]byte{0x60, 0, 0},
	[]byte{0x60, 1, 0x7f, 0},
	[]byte{0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f},
	[]byte{0x60, 9, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7e, 0x7e, 0x7f, 0x7f, 1, 0x7f},
	[]byte{0x60, 0, 1, 0x7f},
)

type imported struct {
	module, name string
	typ          byte
}

// The imports of every module here, by index.
var wasi = []imported{
	{"wasi_snapshot_preview1", "fd_write", tFour},
	{"wasi_snapshot_preview1", "proc_exit", tExit},
	{"wasi_snapshot_preview1", "path_open", tOpen},
}

const (
	fdWrite = iota
	procExit
	pathOpen
	start
)

type module struct {
	imports          []imported
	pages            uint64 // of memory
	code             []byte // of _start, without the end
	typ              byte   // of further functions
	more             [][]byte
	locals           uint64 // of further functions
	tables, elements uint64 // tables, and what each has to hold
	data             string // at address 64; the vector of writes at 0 names it
	export           string
}

func (m module) bytes() []byte {
	imports := m.imports
	if imports == nil {
		imports = wasi
	}
	if m.pages == 0 {
		m.pages = 2
	}
	if m.export == "" {
		m.export = "_start"
	}
	var imps, funcs, bodies [][]byte
	for _, i := range imports {
		imps = append(imps, append(append(str(i.module), str(i.name)...), 0, i.typ))
	}
	funcs, bodies = append(funcs, []byte{tNone}), append(bodies, body(0, m.code))
	for _, code := range m.more {
		funcs, bodies = append(funcs, []byte{m.typ}), append(bodies, body(m.locals, code))
	}
	length := uint32(len(m.data))
	vector := []byte{64, 0, 0, 0, byte(length), byte(length >> 8), byte(length >> 16), 0}
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = append(out, section(1, types)...)
	out = append(out, section(2, vec(imps...))...)
	out = append(out, section(3, vec(funcs...))...)
	if m.tables > 0 {
		var tables [][]byte
		for range m.tables {
			tables = append(tables, append([]byte{0x70, 0}, leb(m.elements)...))
		}
		out = append(out, section(4, vec(tables...))...)
	}
	out = append(out, section(5, vec(append([]byte{0}, leb(m.pages)...)))...)
	out = append(out, section(7, vec(append(str("memory"), 2, 0), append(append(str(m.export), 0), leb(uint64(len(imports)))...)))...)
	out = append(out, section(10, vec(bodies...))...)
	return append(out, section(11, vec(segment(0, vector), segment(64, []byte(m.data))))...)
}

func body(locals uint64, code []byte) []byte {
	b := []byte{0}
	if locals > 0 {
		b = append(append([]byte{1}, leb(locals)...), 0x7f)
	}
	b = append(append(b, code...), 0x0b)
	return append(leb(uint64(len(b))), b...)
}

func segment(at byte, data []byte) []byte {
	// i32.const takes a signed number: 64 needs two bytes.
	offset := []byte{0x41, at, 0x0b}
	if at >= 64 {
		offset = []byte{0x41, at | 0x80, 0, 0x0b}
	}
	return append(append([]byte{0}, offset...), append(leb(uint64(len(data))), data...)...)
}

// write is fd_write(1, 0, 1, 32), its result dropped.
var write = []byte{0x41, 1, 0x41, 0, 0x41, 1, 0x41, 32, 0x10, fdWrite, 0x1a}

// says is a rule that writes a text and ends.
func says(text string) []byte { return module{code: write, data: text}.bytes() }
