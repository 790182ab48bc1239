package location

import (
	"errors"
	"regexp"
	"strings"
)

// references are the schemes of an image reference, archives those of a path with a reference,
// layouts those of a path with a tag, and buildpacks those of an id and version. Paths and ids are
// never secret.
var (
	references = regexp.MustCompile(`^(?:docker:/{1,3}|docker-daemon:)`)
	buildpacks = regexp.MustCompile(`^(?:urn:cnb:(?:registry|builder)|from=builder):`)
	archives   = regexp.MustCompile(`^docker-archive:[^:]*:?`)
	layouts    = regexp.MustCompile(`^(?:oci|oci-archive):[^:]*:?`)
	urlScheme  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:/+`)
	// digest matches digests of the usual algorithms, even if they are too short.
	digest    = regexp.MustCompile(`^(?:sha(?:256|384|512):[0-9A-Fa-f]*|[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9A-Fa-f]{32,})$`)
	validPort = regexp.MustCompile(`^[^:]*(?::[0-9]*)?$|^\[[0-9A-Fa-f:.%]*\](?::[0-9]*)?$`)
	// host matches what Docker takes for a host before the slash of a reference (localhost, or a
	// name with a dot or a port), except versions such as 1.2.
	host = regexp.MustCompile(`^(?:localhost|.*\.[A-Za-z][A-Za-z0-9-]+\.?|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|\[.*\]|.*:[0-9]+)$`)
	// urlInText finds URLs in text, up to a space or a quote.
	urlInText = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>` + "`" + `]+`)
)

// hidden replaces the redacted parts.
const hidden = "…"

// Redact removes possible secrets from a location, valid or not: the user and password before a
// host, and a URL's query and fragment. It returns other strings, such as paths, unchanged.
func Redact(s string) string {
	switch {
	case strings.HasPrefix(s, "file:"), buildpacks.MatchString(s):
		return s
	case references.MatchString(s):
		scheme := references.FindString(s)
		return scheme + redactAddress(s[len(scheme):], true)
	case archives.MatchString(s):
		path := archives.FindString(s)
		return path + redactAddress(s[len(path):], true)
	case layouts.MatchString(s):
		path := layouts.FindString(s)
		return path + redactAddress(s[len(path):], false)
	case urlScheme.MatchString(s):
		scheme := urlScheme.FindString(s)
		return scheme + redactAddress(s[len(scheme):], true)
	}
	return redactAddress(s, false)
}

// redactAddress redacts HOST/PATH?QUERY. Without a scheme, it redacts only strings that look like
// an address with a user.
func redactAddress(s string, isAddress bool) string {
	end := len(s)
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		end = i
	}
	authority, at := s[:end], strings.LastIndexByte(s[:end], '@')
	switch {
	case at >= 0 && digest.MatchString(authority[at+1:]): // name@sha256:...
	case at >= 0 && !isAddress && isPlain(s, authority[:at], authority[at+1:]):
	case at >= 0:
		s = s[at+1:]
	case !validPort.MatchString(authority):
		// With an @, the password may contain a slash or the like: even the host is uncertain.
		before := s
		if i := strings.LastIndexByte(s, '@'); i >= 0 && digest.MatchString(s[i+1:]) {
			before = s[:i]
		}
		if i := strings.LastIndexByte(before, '@'); i >= 0 {
			s = hidden + s[i+1:]
		}
	}
	if i := strings.IndexAny(s, "?#"); i >= 0 && isAddress {
		s = s[:i+1] + hidden
	}
	return s
}

// isPlain reports whether a string without a scheme, which begins with before@after, is a path or a
// name, not an address: ./a@b, @scope/x, name@1.2, name@1.2/dir.
func isPlain(s, before, after string) bool {
	switch {
	case s[0] == '.', before == "":
		return true
	case strings.Contains(before, ":"): // USER:PASSWORD
		return false
	}
	return len(s) == len(before)+1+len(after) || !host.MatchString(after)
}

// RedactText redacts all URLs in a text, such as an error message.
func RedactText(s string) string { return urlInText.ReplaceAllStringFunc(s, Redact) }

// NoSecret returns an error, which does not quote the reference, if the reference has a user, a
// password or a query, which would be printed and sent.
func NoSecret(ref string) error {
	if redactAddress(ref, true) == ref {
		return nil
	}
	return errors.New("invalid reference; write NAME:TAG or NAME@DIGEST, without user, password or query: log in with `docker login HOST` instead")
}
