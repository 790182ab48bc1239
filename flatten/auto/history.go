package auto

import (
	"math/bits"

	"laminate/flatten"
)

// History records which ids changed in which releases: ids that changed together before are likely
// to do so again. The zero value is an empty history.
type History struct {
	last     []Module
	releases int
	changed  map[string]*calendar
}

// calendar has a bit for each of the last releases, set if there was a change. The lowest bit of
// the first word is the last release.
type calendar [calendarWords]uint64

const (
	// calendarWords is how many words of 64 releases a calendar has.
	calendarWords = 6
	// older is the weight of the releases of a word, relative to the word before it.
	older = 0.5
	// doubt is the weight of the prior, in releases in which each module changes as often as an
	// owner does, so that short histories have little influence.
	doubt = 10
	// belief is the weight of the history in the chance that a layer changes; the model has the
	// rest.
	belief = 0.5
)

// Add adds the modules of the next release, in the order of releases. The last one may be the
// release to plan.
func (h *History) Add(release []Module) {
	if h.changed == nil {
		h.changed = map[string]*calendar{}
	}
	now := map[flatten.Ref]bool{}
	for _, m := range release {
		now[m.Ref] = true
	}
	for _, c := range h.changed {
		c.turn()
	}
	h.releases++
	for _, m := range h.last {
		c, known := h.changed[m.Ref.ID]
		if !known {
			c = &calendar{}
			h.changed[m.Ref.ID] = c
		}
		if !now[m.Ref] {
			c[0] |= 1
		}
	}
	h.last = release
}

// turn makes room for one more release.
func (c *calendar) turn() {
	for i := len(c) - 1; i > 0; i-- {
		c[i] = c[i]<<1 | c[i-1]>>63
	}
	c[0] <<= 1
}

// or returns the releases with a change in either calendar.
func (c *calendar) or(o *calendar) calendar {
	both := *c
	for i := range both {
		both[i] |= o[i]
	}
	return both
}

// calendarOf returns the calendar of an id; it is empty if the id is unknown.
func (h *History) calendarOf(id string) calendar {
	if h == nil || h.changed[id] == nil {
		return calendar{}
	}
	return *h.changed[id]
}

// chance returns the estimated chance of a change per release.
func (h *History) chance(c *calendar) float64 {
	changes, all, weight := doubt*ownerChanges, float64(doubt), 1.0
	for i, word := range c {
		seen := min(max(h.releases-64*i, 0), 64)
		changes += float64(weight * float64(bits.OnesCount64(word)))
		all += float64(weight * float64(seen))
		weight *= older
	}
	return changes / all
}
