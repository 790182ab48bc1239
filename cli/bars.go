package cli

import (
	"fmt"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"laminate/packager/progress"
)

// Widths of the parts of a progress line, in columns.
const (
	widestBar = 30
	narrowBar = 8
	sizeWidth = 9  // "1000.0 MB"
	narrow    = 60 // with fewer columns, a line has no room for the total
)

// bar adds a progress line to the terminal. It returns nil if the progress has ended, as it does when
// the run is interrupted.
func (u *ui) bar(verb progress.Verb, name string, total int64) *mpb.Bar {
	columns := 0 // the library draws a line from left to right, and the width is known first
	left := decor.Any(func(st decor.Statistics) string {
		columns = st.AvailableWidth
		return label(verb, name, columns, total)
	}, decor.WCSyncSpaceR)
	right := decor.Any(func(st decor.Statistics) string {
		if verb == progress.Pulling {
			return ""
		}
		return sizes(st.Current, total, columns)
	})
	options := []mpb.BarOption{mpb.PrependDecorators(left), mpb.AppendDecorators(right), mpb.BarRemoveOnComplete()}
	filler := mpb.BarStyle().Build()
	if total < 0 {
		filler = mpb.SpinnerStyle().Build()
	}
	bar, err := u.bars.Add(max(total, 0), filler, options...)
	if err != nil { // the library's other functions panic
		return nil
	}
	return bar
}

// label returns the left part of a progress line of this many columns: the action and its subject,
// cut so that the bar and the bytes stay visible.
func label(verb progress.Verb, name string, columns int, total int64) string {
	bar := min(widestBar, max(narrowBar, columns/5))
	room := columns - bar - runewidth.StringWidth(sizes(0, total, columns)) - 3 // spaces between them
	text := fmt.Sprintf("%-11s %s", verb, printable(name))
	if columns < narrow {
		text = fmt.Sprintf("%s %s", verb, printable(name))
	}
	return runewidth.Truncate(text, max(room, 1), "…")
}

// sizes returns the right part of a progress line, always of the same width.
func sizes(current, total int64, columns int) string {
	if total < 0 || columns < narrow {
		return fmt.Sprintf("%*s", sizeWidth, bytes(current))
	}
	return fmt.Sprintf("%*s / %*s", sizeWidth, bytes(current), sizeWidth, bytes(total))
}
