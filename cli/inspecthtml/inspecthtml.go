// Package inspecthtml writes an [inspect.Report] as one HTML page that needs no network: a treemap
// of the layers and what is in them, the detection order, and a filter.
//
// Nothing in a report is trusted. The page has it as JSON, escaped by html/template, and its script
// puts it into the document as text, never as markup. A content security policy allows that one
// script and that one style sheet, by their hashes, and nothing else: no network, no inline
// handlers, and no strings that become markup.
package inspecthtml

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"strings"

	"laminate/packager/inspect"
)

//go:embed page
var files embed.FS

// scripts are the parts of the script, in order. They share one scope.
var scripts = []string{"model.js", "dom.js", "treemap.js", "tree.js", "tables.js", "details.js", "page.js"}

var (
	page   = template.Must(template.ParseFS(files, "page/page.html"))
	style  = read("page.css")
	script = assemble()
)

// view is what the template needs.
type view struct {
	Policy string
	Style  template.CSS
	Script template.JS
	Report *inspect.Report
}

// Write writes the page of a report. Equal reports give equal bytes.
func Write(w io.Writer, r *inspect.Report) error {
	return page.Execute(w, view{
		Policy: policy(), Style: template.CSS(style), Script: template.JS(script), Report: r,
	})
}

// policy returns the content security policy of the page.
func policy() string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src " + source(script),
		"style-src " + source(style),
		"base-uri 'none'",
		"form-action 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}

// source returns the expression that allows exactly this inline text.
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// assemble joins the parts of the script.
func assemble() string {
	var b strings.Builder
	b.WriteString("(() => {\n'use strict';\n\n")
	for _, name := range scripts {
		b.WriteString(read(name) + "\n")
	}
	b.WriteString("})();\n")
	return b.String()
}

// read returns an embedded file.
func read(name string) string {
	b, err := files.ReadFile("page/" + name)
	if err != nil {
		panic(err) // it is not in the package
	}
	return string(b)
}
