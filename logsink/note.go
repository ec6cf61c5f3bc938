package logsink

import "time"

// A process that shuts down in a gap leaves a marker on disk, behind the records
// that it could not deliver (lastGapLocked). If the disk is full, which may be why
// there was a gap, they stay in memory and are abandoned, and the marker with them.
// Then what was lost stands in a note: a few bytes of the spill directory that were
// there before (spool.Queue.SetNote). With mapped memory the ledger says it all.
//
// The note is the mover's. It is written while Shutdown still waits, as if all that
// is in memory was lost, and again when it is known; the next process takes it over
// when it opens the directory, and it is cleared when the marker that tells of it
// has arrived or is on disk itself.

// readNote takes over the note that an earlier process left.
// It comes before anything is delivered from the directory, so that the marker of what the
// note tells is ahead of what this process writes.
func (m *mover) readNote() {
	l, since, _ := unpackGap(m.q.Note())
	l = l.positive()
	m.noted = l
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disk.noted = l != (loss{})
	s.inheritLocked(l, since)
}

// note writes what is lost and untold as the next process is to find it. It reports
// whether there was anything to write.
// It is tried once for each thing that there is to say. A directory that cannot take even
// that is told as an error of the spill directory, and what was lost is in Stats.
func (m *mover) note() bool {
	s := m.s
	if m.q == nil {
		return false
	}
	s.mu.Lock()
	l, since, due := m.dueNoteLocked()
	s.mu.Unlock()
	if !due || l == m.noted {
		return false
	}
	var b []byte
	if now := time.Now().UnixMilli(); l != (loss{}) {
		if since == 0 {
			since = now
		}
		b = packGap(l, since, now)
	}
	m.noted = l // also if it fails: it is not tried again and again
	if err := m.call(func() error { return m.q.SetNote(b) }); err != nil {
		m.spillFailed(err)
	}
	return true
}

// dueNoteLocked is what the note is to say, and whether it is known yet.
//
// While the sink runs it is due only to be cleared: a marker in the queue will tell what
// it says. When Shutdown wants everything saved and the disk takes no more, what waits in
// memory counts as lost until it has found its way after all.
func (m *mover) dueNoteLocked() (l loss, since int64, due bool) {
	s := m.s
	switch {
	case s.ledger != nil:
		return loss{}, 0, true // it has taken over what the note said
	case !s.disk.saveAll && !s.disk.stop:
		return loss{}, 0, !s.disk.noted
	}
	l, since = s.untoldLocked()
	for _, c := range s.inflight { // its records may arrive
		if !c.onDisk && !c.durable() {
			markers, _ := c.untold()
			l = l.plus(markers)
		}
	}
	if s.disk.stop || !m.full && time.Now().After(m.retryAt) {
		return l, since, s.disk.stop // what is in memory comes to disk
	}
	for _, c := range s.front {
		if !c.durable() {
			l = l.plus(c.unsaved())
		}
	}
	for c := s.head; c != nil; c = c.next {
		if !c.durable() {
			l = l.plus(c.unsaved())
		}
	}
	return l, since, true
}

// skipLocked passes over the next slot of c, a marker that has arrived or that nobody
// wants, or what is damaged.
func (s *Sink) skipLocked(c *chunk) {
	c.skip()
	s.markersLeftLocked(c, c.rec)
}

// markersLeftLocked notes that the markers in the first slots of c have arrived or are
// on disk. With the one that tells of the note the mover is to clear that: until it
// has, a process that is killed leaves both, and the loss is told twice rather than
// never.
func (s *Sink) markersLeftLocked(c *chunk, slots int) {
	if 0 < c.carries && c.carries <= slots && s.disk.noted {
		s.disk.noted = false
		s.mover.rouse()
	}
}
