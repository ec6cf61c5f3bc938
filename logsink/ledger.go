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
// It is nil in a Sink without mapped memory. Its memory is a mapping of the file's head
// by itself, which lasts as long as the Sink (mapping.keepHead): writers count in it while
// the mapping of the chunks is being closed.
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

// words is p as it is stored: the losses, then the rest, a word each. It is the one place
// that knows the order, with set; a field more is a word more, and fits in pageLen.
func (p ledgerPage) words() (w [pageWords]uint64) {
	lost, told := p.lost.fields(), p.told.fields()
	for i := range lost {
		w[i], w[lossFields+i] = uint64(lost[i]), uint64(told[i])
	}
	copy(w[2*lossFields:], []uint64{p.life, uint64(p.since), p.marker.Life, p.marker.Num, uint64(p.slot), p.gone.Life, p.gone.Num})
	return w
}

// set is the inverse of words.
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
// The word that says which page is in use is stored last; until then the one from before
// counts, whole. The checksum is for a file that was damaged, not for a kill.
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

// sum is the checksum of a page, CRC-32C. The file's key goes into it: zeros, or a page of
// another file, are not one of this file.
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
//
// It is lost minus told, by the page in use, and then put right by the two chunks that the
// page names. A marker whose slot is missing was not written: the page before it counts,
// which differs by that alone. An evicted chunk that still has records will be delivered:
// they, and what its markers tell, are taken off. A life of 0 says that nobody has counted.
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
	if h, mem, ok := a.find(p.gone); ok { // nor to this: what is in it will be delivered
		var c chunk
		c.openFrame(mem, h, a.key)
		markers, bytes := c.untold()
		l = l.minus(markers).minus(loss{evicted: int64(c.live()), bytes: bytes})
	}
	return l.minus(p.told).positive(), p.life, p.since, nil
}

// allZero reports whether b was never written to.
func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// find looks for the chunk that has a name.
// It walks the frames as adopt does, O(frames), and skips what is no chunk. There may be
// none of that name: it was delivered, and its frame is free or another one's.
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

// beginAccount makes the account that is not in use say p, and then puts it in use.
func beginAccount(head []byte, key uint64, p ledgerPage) ledger {
	_, next, which := accounts(head, key)
	clear(next.account)
	next.write(p)
	binary.LittleEndian.PutUint32(head[offAccount:], 1-which) // last
	return next
}

// takeOver settles an account: from now on it says by itself what untold has found,
// and no longer with the help of chunks. Those are about to be adopted, which frees
// the ones without records, and to be delivered.
func (a *arena) takeOver(head []byte, life uint64, l loss, since int64) {
	beginAccount(head, a.key, ledgerPage{life: life, lost: l, since: since})
}

// beginLedgerLocked begins this process's account in head. What is refused from now
// on is counted there.
func (s *Sink) beginLedgerLocked(head []byte, key uint64) {
	mine := beginAccount(head, key, s.pageLocked())
	s.ledger = &mine
	s.lockless.Store(mine.counters())
}

// keepLocked notes in the ledger how things stand. If the next thing is to put the
// marker of a gap into a chunk, that is c; else it is nil. It is two hundred bytes and
// their checksum, for each gap, eviction and record that is too long: never for a
// record that is taken, nor for one that is refused at the gate.
func (s *Sink) keepLocked(c *chunk) {
	if s.ledger == nil {
		return
	}
	p := s.pageLocked()
	if c != nil {
		p.marker, p.slot = c.id, int64(c.n)
	}
	s.ledger.write(p)
}

// pageLocked is how things stand, without what is in the account's counters.
func (s *Sink) pageLocked() ledgerPage {
	return ledgerPage{
		life: s.life, lost: s.refusedElsewhereLocked().plus(s.evictedSoFarLocked()), told: s.gap.reported.plus(s.gap.evictedTold),
		since: s.sinceLocked(), gone: s.gap.gone,
	}
}
