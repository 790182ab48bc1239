package update

import (
	"encoding/json"
	"net/url"
	"strings"
	"unicode"

	"laminate/flatten"
)

// Links are what the labels of an image say about its origin. Each is an http or https URL, or "".
type Links struct {
	// Source is org.opencontainers.image.source.
	Source string `json:"source,omitempty"`
	// URL is org.opencontainers.image.url or, of a buildpackage without it, its homepage.
	URL string `json:"url,omitempty"`
	// Releases finds the release in the list of releases, if one of the others is a repository of
	// GitHub.
	Releases string `json:"releases,omitempty"`
}

func linksOf(labels map[string]string, tag string) Links {
	l := Links{Source: webURL(labels["org.opencontainers.image.source"]), URL: webURL(labels["org.opencontainers.image.url"])}
	var info struct {
		Homepage string `json:"homepage"`
	}
	if l.URL == "" && json.Unmarshal([]byte(labels[flatten.BuildpackageMetadataLabel]), &info) == nil {
		l.URL = webURL(info.Homepage)
	}
	for _, link := range []string{l.URL, l.Source} {
		if repository := onGitHub(link); repository != "" {
			// Whether the project's tags have a v is unknown, so it is a search.
			l.Releases = repository + "/releases?q=" + url.QueryEscape(strings.TrimPrefix(tag, "v"))
		}
	}
	return l
}

// webURL returns an address from a label, or "" if it is not fit for a link.
func webURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > 300 || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil ||
		strings.ContainsFunc(s, func(r rune) bool {
			return !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune("<>\"'`|\\()[]", r)
		}) {
		return ""
	}
	return s
}

// onGitHub returns the address of the repository that a link leads to, or "".
func onGitHub(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Host != "github.com" {
		return ""
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return ""
	}
	return "https://github.com/" + url.PathEscape(parts[0]) + "/" + url.PathEscape(strings.TrimSuffix(parts[1], ".git"))
}
