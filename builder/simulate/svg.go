package simulate

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The measures of a chart, in pixels.
const (
	chartWidth, chartHeight    = 760, 450
	plotLeft, plotRight        = 64, 590
	plotTop, plotBottom        = 56, 380
	labelHeight                = 15
	ticks                      = 7 // at most, beside 0
	megabyte                   = 1e6
	chartFont                  = "font-family=\"sans-serif\" font-size=\"12\""
	chartInk, chartFaint, lead = "#222", "#ddd", "#999"
)

// colours are the colours of plans, distinguishable with colour blindness.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#7a4fbf"}

// curve is the points of a plan, by number of layers. A plan that ignores the budget has one point.
type curve struct {
	name   string
	points []point
	colour string
}

type point struct{ layers, bytes float64 }

// SVG draws the mean bytes per release over the number of layers, with a line per plan. Values of
// more than three times the best are listed below instead, since they would flatten the rest.
func (r *Result) SVG() string {
	curves, out := r.curves()
	var most point
	for _, c := range curves {
		for _, p := range c.points {
			most = point{max(most.layers, p.layers), max(most.bytes, p.bytes)}
		}
	}
	d := &drawing{x: axisTo(most.layers), y: axisTo(most.bytes / megabyte)}
	fmt.Fprintf(&d.s, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %[1]d %[2]d\" %s>\n", chartWidth, chartHeight, chartFont)
	fmt.Fprintf(&d.s, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", chartWidth, chartHeight)
	d.text(plotLeft, 24, "start", chartInk, fmt.Sprintf("%s, %s to %s", r.Builder, r.From, r.To))
	d.text(plotLeft, 42, "start", lead, "compressed MB that are pulled per release, on average")
	d.axes()
	for _, c := range curves {
		d.curve(c)
	}
	d.labels(curves)
	if len(out) > 0 {
		d.s.WriteString("<g font-size=\"10\">")
		d.text(plotLeft, chartHeight-10, "start", lead, "not drawn: "+strings.Join(out, ", "))
		d.s.WriteString("</g>\n")
	}
	d.s.WriteString("</svg>\n")
	return d.s.String()
}

// curves returns what fits in the chart, and a note for each plan that does not fit, at least in
// part.
func (r *Result) curves() (fit []curve, out []string) {
	least := math.Inf(1)
	for _, row := range r.Rows {
		least = min(least, float64(row.MeanBytes))
	}
	for i, c := range r.all() {
		c.colour = colours[i%len(colours)]
		far := len(c.points) // points behind these have more layers
		for far > 0 && c.points[far-1].bytes <= 3*least {
			far--
		}
		switch beyond := c.points[:far]; {
		case far == 1 && len(c.points) == 1:
			out = append(out, fmt.Sprintf("%s (%.0f MB)", c.name, beyond[0].bytes/megabyte))
		case far > 0:
			out = append(out, fmt.Sprintf("%s up to %.0f (%.0f MB)", c.name, beyond[far-1].layers, beyond[far-1].bytes/megabyte))
		}
		if c.points = c.points[far:]; len(c.points) > 0 {
			fit = append(fit, c)
		}
	}
	return fit, out
}

// all returns the curves of all plans.
func (r *Result) all() []curve {
	var all []curve
	for _, row := range r.Rows {
		i := slices.IndexFunc(all, func(c curve) bool { return c.name == row.Plan })
		if i < 0 {
			i = len(all)
			all = append(all, curve{name: row.Plan})
		}
		if p := (point{float64(row.LayersMax), float64(row.MeanBytes)}); !slices.Contains(all[i].points, p) {
			all[i].points = append(all[i].points, p)
		}
	}
	for _, c := range all {
		slices.SortFunc(c.points, func(a, b point) int { return cmp.Compare(a.layers, b.layers) })
	}
	return all
}

// axis is the ticks of an axis: steps from 0.
type axis struct {
	step  float64
	steps int
}

func (a axis) end() float64 { return a.step * float64(a.steps) }

// axisTo returns an axis up to most, with steps of 1, 2 or 5 times a power of ten.
func axisTo(most float64) axis {
	for step := 1.0; ; step *= 10 {
		for _, by := range []float64{1, 2, 5} {
			if n := math.Ceil(most / (step * by)); n <= ticks {
				return axis{step: step * by, steps: max(int(n), 1)}
			}
		}
	}
}

type drawing struct {
	s    strings.Builder
	x, y axis
}

func (d *drawing) at(p point) (x, y float64) {
	return plotLeft + p.layers/d.x.end()*(plotRight-plotLeft), plotBottom - p.bytes/megabyte/d.y.end()*(plotBottom-plotTop)
}

func (d *drawing) text(x, y float64, anchor, colour, s string) {
	fmt.Fprintf(&d.s, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n", x, y, anchor, colour, html.EscapeString(s))
}

func (d *drawing) line(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(&d.s, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, colour)
}

func (d *drawing) axes() {
	for i := range d.y.steps + 1 {
		_, y := d.at(point{0, float64(i) * d.y.step * megabyte})
		d.line(plotLeft, y, plotRight, y, chartFaint)
		d.text(plotLeft-8, y+4, "end", chartInk, fmt.Sprintf("%.0f", float64(i)*d.y.step))
	}
	for i := range d.x.steps + 1 {
		x, _ := d.at(point{float64(i) * d.x.step, 0})
		d.text(x, plotBottom+18, "middle", chartInk, fmt.Sprintf("%.0f", float64(i)*d.x.step))
	}
	d.line(plotLeft, plotBottom, plotRight, plotBottom, chartInk)
	d.text((plotLeft+plotRight)/2, plotBottom+36, "middle", chartInk, "layers of buildpacks")
}

func (d *drawing) curve(c curve) {
	var path strings.Builder
	for i, p := range c.points {
		x, y := d.at(p)
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], x, y)
		fmt.Fprintf(&d.s, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"><title>%s: %.0f layers, %.1f MB</title></circle>\n", x, y, c.colour, html.EscapeString(c.name), p.layers, p.bytes/megabyte)
	}
	fmt.Fprintf(&d.s, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", path.String(), c.colour)
}

// labels draws the names of the curves at the right, at the height of their last points, without
// overlap.
func (d *drawing) labels(curves []curve) {
	byHeight := slices.Clone(curves)
	last := func(c curve) point { return c.points[len(c.points)-1] }
	slices.SortStableFunc(byHeight, func(a, b curve) int { return cmp.Compare(last(b).bytes, last(a).bytes) })
	heights := make([]float64, len(byHeight))
	for i, c := range byHeight {
		_, heights[i] = d.at(last(c))
		if i > 0 {
			heights[i] = max(heights[i], heights[i-1]+labelHeight)
		}
	}
	for i, c := range byHeight {
		x, y := d.at(last(c))
		d.line(x+6, y, plotRight+12, heights[i], chartFaint)
		label := c.name
		if len(c.points) == 1 {
			label += fmt.Sprintf(" (%.0f layers)", c.points[0].layers)
		}
		d.text(plotRight+16, heights[i]+4, "start", c.colour, label)
	}
}
