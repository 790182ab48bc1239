package simulate

import (
	"slices"

	"laminate/flatten"
)

// image is the layers of a release, lowest first.
type image struct {
	names []string // the refs of each layer: equal names, equal layers
	sizes []int64
	has   map[string]bool
}

func (r *replay) pulled(plan flatten.LayerPlan) image {
	m := image{has: map[string]bool{}}
	for _, l := range plan {
		refs := slices.SortedFunc(slices.Values(l.Refs), flatten.Ref.Compare)
		var size int64
		for _, ref := range refs {
			size += r.size(ref)
		}
		name := flatten.JoinRefs(refs, "\n")
		m.names, m.sizes = append(m.names, name), append(m.sizes, size)
		m.has[name] = true
	}
	return m
}

// missing returns the bytes of layers that another image lacks.
func (m image) missing(in image) (bytes int64) {
	for i, name := range m.names {
		if !in.has[name] {
			bytes += m.sizes[i]
		}
	}
	return bytes
}

// above returns the bytes of layers above the common prefix with another image.
func (m image) above(below image) (bytes int64) {
	same := true
	for i, name := range m.names {
		same = same && i < len(below.names) && below.names[i] == name
		if !same {
			bytes += m.sizes[i]
		}
	}
	return bytes
}

// TenLater is the distance of releases for MeanBytesTenLater.
const TenLater = 10

// score accumulates the cost of a replay.
type score struct {
	from   int
	last   []image // of the last releases that count, up to TenLater
	layers []int
	next   []int64
	ten    []int64
	prefix []int64
}

// add adds the image of release i.
func (s *score) add(i int, m image) {
	if i < s.from {
		return
	}
	s.layers = append(s.layers, len(m.names))
	if n := len(s.last); n > 0 {
		s.next = append(s.next, m.missing(s.last[n-1]))
		s.prefix = append(s.prefix, m.above(s.last[n-1]))
	}
	if len(s.last) == TenLater {
		s.ten = append(s.ten, m.missing(s.last[0]))
		s.last = s.last[1:]
	}
	s.last = append(s.last, m)
}

func (s *score) row() Row {
	slices.Sort(s.layers)
	sorted := slices.Sorted(slices.Values(s.next))
	return Row{
		LayersMax: s.layers[len(s.layers)-1], LayersMedian: rank(s.layers, 50),
		MeanBytes: mean(s.next), P50Bytes: rank(sorted, 50), P95Bytes: rank(sorted, 95),
		MeanBytesTenLater: mean(s.ten), MeanBytesPrefix: mean(s.prefix),
	}
}

// mean rounds down; it is 0 for nothing.
func mean(values []int64) int64 {
	var sum int64
	for _, v := range values {
		sum += v
	}
	if len(values) == 0 {
		return 0
	}
	return sum / int64(len(values))
}

// rank returns a percentile of the sorted values.
func rank[T any](sorted []T, percent int) T {
	return sorted[(len(sorted)*percent+99)/100-1]
}
