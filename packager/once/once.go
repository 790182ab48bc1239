// Package once computes a value once for each key, even if several goroutines ask for it at the
// same time.
package once

import "sync"

// Map holds values by key. The zero value is an empty map. It is safe for
// concurrent use and must not be copied after its first use.
type Map[K comparable, V any] struct {
	mu    sync.Mutex
	cells map[K]*cell[V]
}

type cell[V any] struct {
	mu    sync.Mutex
	ready bool
	value V
}

// Do returns the value of a key. The first caller computes it, and concurrent callers wait. After
// an error, the next caller tries again.
func (m *Map[K, V]) Do(key K, make func() (V, error)) (V, error) {
	c := m.cell(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready {
		return c.value, nil
	}
	value, err := make()
	if err == nil {
		c.value, c.ready = value, true
	}
	return value, err
}

// Get returns the value of a key, if it was computed. It waits for a computation in progress.
func (m *Map[K, V]) Get(key K) (V, bool) {
	c := m.cell(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, c.ready
}

// Set sets the value of a key.
func (m *Map[K, V]) Set(key K, value V) {
	c := m.cell(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value, c.ready = value, true
}

func (m *Map[K, V]) cell(key K) *cell[V] {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells = map[K]*cell[V]{}
	}
	if m.cells[key] == nil {
		m.cells[key] = &cell[V]{}
	}
	return m.cells[key]
}
