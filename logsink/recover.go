package logsink

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// openMemory makes the arena: in the mapped file if there is to be one and it
// can be had, with what an earlier process left in it, else on the heap.
func (s *Sink) openMemory() {
	size := s.opt.chunkSize()
	if s.opt.Mapped != "" {
		m, err := openMapping(s.opt.Mapped, s.opt.MaxBytes, size)
		if err == nil {
			s.mapped = m
			s.arena = newArena(m.frames(), size)
			s.adopt()
			return
		}
		s.diskFailed(fmt.Errorf("logsink: mapped file %s: %w", s.opt.Mapped, err))
	}
	slab := make([]byte, s.opt.MaxBytes)
	for i := 0; i < min(len(slab), touchAtOnce); i += 4096 {
		slab[i] = 0 // the page fault happens here and not in a Write
	}
	s.arena = newArena(slab, size)
}

// touchAtOnce is how much of the memory New takes from the system. A larger
// budget is taken as it is needed, at about a microsecond a page.
const touchAtOnce = defaultBytes

// closeMemory gives up the mapped file. Nobody touches a chunk after that.
func (s *Sink) closeMemory() {
	if s.mapped == nil {
		return
	}
	s.mu.Lock()
	s.head, s.last, s.tail = nil, nil, nil
	s.mu.Unlock()
	if err := s.mapped.close(); err != nil {
		s.diskFailed(fmt.Errorf("logsink: mapped file %s: %w", s.opt.Mapped, err))
	}
}

// adopt puts the chunks that an earlier process left in the mapped file into
// the queue, where they lie.
func (s *Sink) adopt() {
	a, size := s.arena, s.arena.size
	var left []*chunk
	var lost int64
	for i := 0; i < len(a.chunks); {
		mem := a.slab[i*size:]
		h, err := parseHead(mem)
		if err != nil || h.size%size != 0 || h.size > len(mem) {
			if mem[0] != 0 {
				if err == nil {
					err = fmt.Errorf("%w: size %d", errFrame, h.size)
				}
				s.noteDisk(fmt.Errorf("logsink: mapped file %s: frame %d: %w", s.opt.Mapped, i, err))
				clear(mem[:headerSize])
			}
			i++
			continue
		}
		c := a.claim(i, h.size/size)
		damaged, err := openFrame(c, c.mem)
		c.durable = true
		lost += int64(damaged)
		s.seq = max(s.seq, c.seq)
		i += c.frames
		if err != nil || c.rec == c.n {
			a.release(c)
			continue
		}
		s.live += c.frames * size
		left = append(left, c)
	}
	slices.SortFunc(left, func(x, y *chunk) int { return compare(x.seq, y.seq) })
	var records [2]int64
	for _, c := range left {
		s.push(c)
		records[Normal] += int64(c.left[Normal])
		records[High] += int64(c.left[High])
	}
	s.count.corrupt[Normal] += lost
	records[Normal] += lost
	s.found(records)
	s.upTo = s.seq
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// found counts records that an earlier process left.
func (s *Sink) found(records [2]int64) {
	n := records[Normal] + records[High]
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.recovered += n
	for lane := range records {
		s.count.accepted[lane] += records[lane]
	}
	s.tell(Event{Kind: LeftoverFound, Records: n})
}

// orderLeftovers brings what was found in the mapped file and in the spill
// directory into one order. A chunk that is in both was on its way to disk and
// arrived; one that is older than everything on disk was in flight.
func (s *Sink) orderLeftovers() {
	if s.mapped == nil || s.head == nil || len(s.spool.seqs) == 0 {
		return
	}
	first := slices.Min(keys(s.spool.seqs))
	var rest []*chunk
	for c := s.pop(); c != nil; c = s.pop() {
		switch {
		case s.spool.seqs[c.seq]:
			for lane, n := range c.left {
				s.count.accepted[lane] -= int64(n)
				s.count.recovered -= int64(n)
			}
			s.release(c)
		case c.seq < first:
			s.inflight = append(s.inflight, c)
		default:
			rest = append(rest, c)
		}
	}
	for _, c := range rest {
		s.push(c)
	}
}

// maps reports whether the mapped file has left chunk seq.
func (s *Sink) maps(seq uint64) bool {
	for c := s.head; c != nil; c = c.next {
		if c.seq == seq {
			return true
		}
	}
	return false
}

func keys(m map[uint64]bool) []uint64 {
	list := make([]uint64, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	return list
}

// diskFailed notes that something on disk does not work.
func (s *Sink) diskFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteDisk(err)
}

// noteDisk is diskFailed with the lock.
func (s *Sink) noteDisk(err error) {
	s.count.diskErrors++
	s.count.diskErr = err
	s.tell(Event{Kind: DiskFailed, Err: err})
}

// RecoverFile delivers to w what a process left in path, its mapped file or
// its spill directory, and takes it out of there. It is what [New] does with
// the same path, for a program that is not going to be started again. Ctx
// bounds it; without a deadline that is one minute. Records returns how many
// were delivered; with an error the rest is still in path.
func RecoverFile(ctx context.Context, path string, w io.Writer) (records int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("logsink: recover: %w", err)
	}
	opt := Options{Dest: w, Gap: GapText}
	if info.IsDir() {
		opt.SpillDir, opt.SpillBytes = path, 1<<62
	} else {
		opt.Mapped = path
		opt.MaxBytes = max(int(info.Size())-mappedHead, minMapped) // no larger than it is: the disk may be full
	}
	s, err := New(opt)
	if err != nil {
		return 0, err
	}
	ctx, cancel := bounded(ctx, time.Minute)
	defer cancel()
	if st := s.Stats(); s.mapped == nil && s.spool == nil {
		s.Shutdown(ctx) //nolint:errcheck // it holds nothing
		return 0, fmt.Errorf("logsink: recover: %s", st.DiskError)
	}
	err = s.Shutdown(ctx)
	st := s.Stats()
	if n := st.Dropped.Corrupt; err == nil && n > 0 {
		err = fmt.Errorf("logsink: recover: %s: %d records were damaged", path, n)
	}
	return st.Delivered, err
}
