package registry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"unicode"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"laminate/packager/location"
)

// messageLimit is how much of a registry's own message is quoted, in bytes.
const messageLimit = 300

// Explain rewrites an error of a registry as a short message that begins with the reference and
// ends with a hint, if there is one. The message holds no credentials: it has no query parameters,
// headers or long bodies, and addresses are redacted, even those in the registry's own message. It
// wraps err. Explain returns nil, and errors of its own, unchanged.
func Explain(err error, ref string) error {
	var known *explained
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &explained{message: ref + ": interrupted", err: err}
	}
	return &explained{message: location.RedactText(ref + ": " + reason(err, host(ref))), err: err}
}

// IsNetwork reports whether an error is one of the network or of a registry.
func IsNetwork(err error) bool {
	var answer *transport.Error
	var request *url.Error
	var stall *StallError
	var plain *PlainError
	var other net.Error
	return errors.As(err, &answer) || errors.As(err, &request) || errors.As(err, &stall) ||
		errors.As(err, &plain) || errors.As(err, &other)
}

// IsAbsent reports whether a registry responded that an image or a blob does not exist, or that it
// is not accessible: registries that do not tell the two apart respond 401 or 403.
func IsAbsent(err error) bool {
	var response *transport.Error
	if !errors.As(err, &response) {
		return false
	}
	switch response.StatusCode {
	case http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return false
}

// IsMissing reports whether a registry responded that something does not exist.
func IsMissing(err error) bool {
	var response *transport.Error
	return errors.As(err, &response) && response.StatusCode == http.StatusNotFound
}

// IsTimeout reports whether a registry or another host did not respond in time, or was too slow.
func IsTimeout(err error) bool {
	var stall *StallError
	var other net.Error
	return errors.As(err, &stall) || errors.As(err, &other) && other.Timeout()
}

type explained struct {
	message string
	err     error
}

func (e *explained) Error() string { return e.message }
func (e *explained) Unwrap() error { return e.err }

// host returns the registry of a reference, or the reference itself.
func host(ref string) string {
	parsed, err := name.ParseReference(strings.TrimPrefix(ref, "docker://"))
	if err != nil {
		return ref
	}
	return parsed.Context().RegistryStr()
}

func reason(err error, host string) string {
	var answer *transport.Error
	var stall *StallError
	var plain *PlainError
	if refused := Certificate(err); refused != "" {
		return fmt.Sprintf("registry %s: %s%s", host, otherServer(err, host), refused)
	}
	switch {
	case errors.As(err, &answer):
		return answered(answer, host)
	case errors.As(err, &stall):
		return "registry " + stall.Error()
	case errors.As(err, &plain):
		return plainRefused(plain, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("registry %s: connection refused (tried %s)", host, tried(err, host))
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Sprintf("registry %s supports plain HTTP only; allow it with --insecure-registry %s", host, host)
	}
	return fmt.Sprintf("registry %s: %s", host, Shorten(bare(err)))
}

// Certificate returns why the certificate of a server was refused, with a hint, or "" if err is not
// about a certificate.
func Certificate(err error) string {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "certificate is signed by an unknown authority; set SSL_CERT_FILE to a PEM file with the certificate of that authority"
	case errors.As(err, &other):
		return Shorten(strings.TrimPrefix(other.Error(), "x509: ")) + "; use a name that is in the certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "certificate has expired or is not yet valid; renew it, or set the clock of this machine"
	case errors.As(err, &invalid):
		return Shorten(strings.TrimPrefix(invalid.Error(), "x509: ")) + "; issue a new one"
	}
	return ""
}

// otherServer returns the host of the failed request, as a prefix, if it is not the registry: a
// token server, or storage.
func otherServer(err error, registry string) string {
	var request *url.Error
	if !errors.As(err, &request) {
		return ""
	}
	at, err := url.Parse(request.URL)
	if err != nil || at.Host == "" || at.Host == registry {
		return ""
	}
	return at.Host + ": "
}

// answered describes an error response of the registry, or of a server that it named.
func answered(e *transport.Error, host string) string {
	message := fmt.Sprintf("registry %s: %d %s", host, e.StatusCode, http.StatusText(e.StatusCode))
	if said := said(e); said != "" {
		message += ": " + said
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		message += fmt.Sprintf("; log in with `%s`, or ask for access", login(host))
	case http.StatusNotFound:
		message += fmt.Sprintf("; check "+missingWhat(e)+", or log in with `%s` if it is private", login(host))
	case http.StatusTooManyRequests:
		message += fmt.Sprintf("; try again later, or log in with `%s`", login(host))
	case http.StatusRequestEntityTooLarge:
		message += "; the registry, or a proxy in front of it, refuses blobs of this size"
	}
	return message
}

// missingWhat names what a 404 may be about: the repository and, for a manifest by tag, the tag.
func missingWhat(e *transport.Error) string {
	if e.Request != nil {
		_, ref, found := strings.Cut(e.Request.URL.Path, "/manifests/")
		if found && !strings.ContainsAny(ref, ":/") { // with a slash, a part of the repository is "manifests"
			return "the name and the tag"
		}
	}
	return "the name"
}

func login(host string) string {
	if host == name.DefaultRegistry {
		return "docker login"
	}
	return "docker login " + host
}

// said returns the registry's own message: its error entries without their details, or the
// beginning of any other body.
func said(e *transport.Error) string {
	var all []string
	for _, d := range e.Errors {
		all = append(all, strings.TrimSuffix(fmt.Sprintf("%s: %s", d.Code, d.Message), ": "))
	}
	if len(all) > 0 {
		return Shorten(strings.Join(all, ", "))
	}
	_, body, ok := strings.Cut(e.Error(), fmt.Sprintf("unexpected status code %d %s: ", e.StatusCode, http.StatusText(e.StatusCode)))
	if !ok {
		return ""
	}
	return Shorten(body)
}

// plainRefused adds why TLS failed, if it was tried before.
func plainRefused(plain *PlainError, err error) string {
	if first, _, ok := strings.Cut(err.Error(), "; "); ok && strings.Contains(first, "https://") {
		why := first[strings.LastIndex(first, ": ")+2:]
		return fmt.Sprintf("registry %s: no TLS (%s), and %s", plain.Host, Shorten(why), plain)
	}
	return plain.Error()
}

// tried returns the addresses in the error, or the default one.
func tried(err error, host string) string {
	var all []string
	for _, scheme := range []string{"https://", "http://"} {
		if strings.Contains(err.Error(), scheme+host) {
			all = append(all, scheme+host)
		}
	}
	if len(all) == 0 {
		return "https://" + host
	}
	return strings.Join(all, " and ")
}

// bare removes the request from an error of the HTTP client: its URL may have a signature.
func bare(err error) string {
	for {
		var request *url.Error
		if !errors.As(err, &request) {
			return err.Error()
		}
		if request.Err == nil {
			return request.Op
		}
		err = request.Err
	}
}

// Reword returns an error with another message that wraps err.
func Reword(err error, words string) error { return &reworded{err, words} }

type reworded struct {
	error
	words string
}

func (e *reworded) Error() string { return e.words }
func (e *reworded) Unwrap() error { return e.error }

// Shorten returns about 300 bytes of foreign text, on one line and without control characters, for
// a message.
func Shorten(s string) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= messageLimit {
		return s
	}
	return strings.ToValidUTF8(s[:messageLimit], "") + " …"
}
