package logsink

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"unsafe"

	"github.com/failopen/failopen/logsink/internal/spool"
)

// A ledger is the part of the mapped file's head that says what this process has
// lost and whom it has told, so that the next one can tell the rest: a process that
// is killed in a gap cannot say so itself. (Without mapped memory a killed process
// takes its counts along with its records. One that shuts down leaves a note in the
// spill directory, see note.go.)
//
// There are two accounts, of which one is in use: a new process writes the other,
// with what it takes over, and then switches. An account begins with the counters
// of the lock-free way through Write, which change in place; all else is in one of
// two pages of it, and is written to the other one before that becomes the page in
// use. So a kill between any two stores leaves what was true before or after.
//
// Offsets, little-endian:
//
//	in the head     64  which account is in use, 0 or 1
//	               128  account 0
//	              1152  account 1
//	in an account    0  the counters, a cache line each lane
//	               128  which page is in use, 0 or 1
//	               192  page 0
//	               448  page 1
const (
	offAccount = 64
	offFirst   = 128
	accountLen = 1024

	offPage  = 128
	offPages = 192
	pageLen  = 256
)

// ledger is the account of this process.
type ledger struct {
	account []byte
	key     uint64 // of the mapped file
}

// ledgerPage is what a page says. A marker in the queue, and an eviction, are two
// steps for a process that may be killed between them: the page is written before
// the second one and names the chunk, from which a reader can tell whether it came
// to that.
type ledgerPage struct {
	life   uint64
	lost   loss // without the counters
	told   loss
	since  int64    // Unix milliseconds, of the gap that is open
	marker spool.ID // told is true once this chunk has more than slot slots, or is gone
	slot   int64
	gone   spool.ID // the chunk evicted last: what it still has is not lost
}

const pageWords = 7 + 2*lossFields

func (p ledgerPage) words() (w [pageWords]uint64) {
	lost, told := p.lost.fields(), p.told.fields()
	for i := range lost {
		w[i], w[lossFields+i] = uint64(lost[i]), uint64(told[i])
	}
	copy(w[2*lossFields:], []uint64{p.life, uint64(p.since), p.marker.Life, p.marker.Num, uint64(p.slot), p.gone.Life, p.gone.Num})
	return w
}

func (p *ledgerPage) set(w [pageWords]uint64) {
	var lost, told [lossFields]int64
	for i := range lost {
		lost[i], told[i] = int64(w[i]), int64(w[lossFields+i])
	}
	v := w[2*lossFields:]
	*p = ledgerPage{
		life: v[0], lost: lossOf(lost), told: lossOf(told), since: int64(v[1]),
		marker: spool.ID{Life: v[2], Num: v[3]}, slot: int64(v[4]), gone: spool.ID{Life: v[5], Num: v[6]},
	}
}

func (l ledger) page(i uint32) []byte {
	at := offPages + int(i)*pageLen
	return l.account[at : at+pageLen]
}

// write makes p the page in use. It is called under the lock.
func (l ledger) write(p ledgerPage) {
	next := 1 - binary.LittleEndian.Uint32(l.account[offPage:])&1
	b := l.page(next)
	w := p.words()
	for i, v := range w {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	binary.LittleEndian.PutUint32(b[8*pageWords:], l.sum(b))
	binary.LittleEndian.PutUint32(l.account[offPage:], next) // last
}

func (l ledger) sum(page []byte) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], l.key)
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, page[:8*pageWords])
}

// read returns page i, and false if it was never written or is damaged.
func (l ledger) read(i uint32) (p ledgerPage, ok bool) {
	b := l.page(i)
	if binary.LittleEndian.Uint32(b[8*pageWords:]) != l.sum(b) {
		return p, false
	}
	var w [pageWords]uint64
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	p.set(w)
	return p, true
}

// counters are those of the account: what Write changes without the lock.
func (l ledger) counters() *[2]refusals { return (*[2]refusals)(unsafe.Pointer(&l.account[0])) }

// accounts are the two of a head, the one in use first.
func accounts(head []byte, key uint64) (used, other ledger, which uint32) {
	which = binary.LittleEndian.Uint32(head[offAccount:]) & 1
	at := func(i uint32) ledger {
		from := offFirst + int(i)*accountLen
		return ledger{head[from : from+accountLen : from+accountLen], key}
	}
	return at(which), at(1 - which), which
}

var errLedger = errors.New("what the process before lost is not known: its counters are damaged")

// untold is what the process that had this memory lost and told nobody of, and
// since when. It reads chunks, and so comes before they are adopted.
func (a *arena) untold(head []byte) (l loss, life uint64, since int64, err error) {
	used, _, _ := accounts(head, a.key)
	which := binary.LittleEndian.Uint32(used.account[offPage:]) & 1
	p, ok := used.read(which)
	if !ok {
		if allZero(used.page(which)) {
			return loss{}, 0, 0, nil // nobody has counted here
		}
		return loss{}, 0, 0, errLedger
	}
	if h, _, ok := a.find(p.marker); ok && int64(h.n) <= p.slot {
		if p, ok = used.read(1 - which); !ok { // it did not come to the marker
			return loss{}, 0, 0, errLedger
		}
	}
	l = p.lost.plus(countersOf(used.counters()))
	if h, mem, ok := a.find(p.gone); ok { // nor to this
		var c chunk
		c.openFrame(mem, h, a.key)
		l = l.minus(loss{evicted: int64(c.live()), bytes: int64(c.used - c.sent)})
	}
	return l.minus(p.told).positive(), p.life, p.since, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// find looks for the chunk that has a name.
func (a *arena) find(id spool.ID) (h frameHead, mem []byte, ok bool) {
	for i := 0; i < len(a.chunks) && id.Life != 0; {
		mem := a.slab[i*a.size:]
		h, err := parseHead(mem, a.key)
		if err != nil || h.size%a.size != 0 || h.size > len(mem) {
			i++
			continue
		}
		if h.id == id {
			return h, mem[:h.size], true
		}
		i += h.size / a.size
	}
	return frameHead{}, nil, false
}

// countersOf are two lanes' worth of refusals.
func countersOf(r *[2]refusals) (l loss) {
	for lane := range r {
		l.full += r[lane].full.Load()
		l.bytes += r[lane].fullBytes.Load()
	}
	return l
}

// beginLedgerLocked begins this process's account in head. What is refused from now
// on is counted there.
func (s *Sink) beginLedgerLocked(head []byte, key uint64) {
	_, mine, which := accounts(head, key)
	clear(mine.account)
	s.ledger = &mine
	s.keepLocked(nil)
	binary.LittleEndian.PutUint32(head[offAccount:], 1-which) // last
	s.lockless.Store(mine.counters())
}

// keepLocked notes in the ledger how things stand. If the next thing is to put the
// marker of a gap into a chunk, that is c; else it is nil.
func (s *Sink) keepLocked(c *chunk) {
	if s.ledger == nil {
		return
	}
	p := ledgerPage{
		life: s.life, lost: s.refusedElsewhereLocked().plus(s.evictedSoFarLocked()), told: s.gap.reported.plus(s.gap.evictedTold),
		since: s.sinceLocked(), gone: s.gap.gone,
	}
	if c != nil {
		p.marker, p.slot = c.id, int64(c.n)
	}
	s.ledger.write(p)
}
