package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"laminate/builder/simulate"
)

func write(w io.Writer, s string) error {
	_, err := io.WriteString(w, s)
	return err
}

func printJSON(w io.Writer, r *simulate.Result) error {
	return writeJSON(w, r)
}

// simulatedColumns are the columns of the text and the Markdown table.
var simulatedColumns = []string{"plan", "budget", "layers", "median", "mean", "p50", "p95", "ten later", "prefix"}

// simulatedRows returns the cells of the tables. A plan that does not depend on the budget has one
// row.
func simulatedRows(r *simulate.Result) [][]string {
	var rows [][]string
	last := ""
	for _, row := range r.Rows {
		budget := strconv.Itoa(row.BuildpackLayers)
		if !row.Budgeted {
			if budget = "any"; row.Plan == last {
				continue
			}
		}
		last = row.Plan
		cells := []string{row.Plan, budget, strconv.Itoa(row.LayersMax), strconv.Itoa(row.LayersMedian)}
		for _, bytes := range []int64{row.MeanBytes, row.P50Bytes, row.P95Bytes, row.MeanBytesTenLater, row.MeanBytesPrefix} {
			cells = append(cells, megabytes(bytes))
		}
		if r.Steps < simulate.TenLater {
			cells[7] = "-" // no release comes so late
		}
		rows = append(rows, cells)
	}
	return rows
}

// megabytes returns a size with one digit after the decimal point, so that columns compare.
func megabytes(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/1e6) }

func simulatedTitle(r *simulate.Result) string {
	return fmt.Sprintf("%s, %s to %s: MB that are pulled per release, over %s", r.Builder, r.From, r.To, count(r.Steps, "step"))
}

const simulatedLegend = `layers, median: how many the buildpacks take, at most and mostly
mean, p50, p95: from a release to the next; ten later: to the tenth after it (mean)
prefix: the mean where only the lowest layers that are the same are reused, as Docker's own store does`

func printTable(w io.Writer, r *simulate.Result) error {
	if err := write(w, simulatedTitle(r)+"\n"); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	widest := len(simulatedColumns[0])
	rows := simulatedRows(r)
	for _, cells := range rows {
		widest = max(widest, len(cells[0]))
	}
	for _, cells := range append([][]string{simulatedColumns}, rows...) {
		// The first column is padded, and so aligned to the left.
		fmt.Fprintf(t, "%-*s\t%s\t\n", widest, cells[0], strings.Join(cells[1:], "\t")) // Flush returns errors
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return write(w, simulatedLegend+"\n")
}

func printMarkdown(w io.Writer, r *simulate.Result) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s\n\n| %s |\n|%s\n", simulatedTitle(r), strings.Join(simulatedColumns, " | "), " --- |"+strings.Repeat(" ---: |", len(simulatedColumns)-1))
	for _, cells := range simulatedRows(r) {
		fmt.Fprintf(&s, "| %s |\n", strings.Join(cells, " | "))
	}
	return write(w, s.String())
}
