package registry_test

import (
	"bytes"
	"io"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"laminate/packager/registry"
)

var _ = Describe("a session uploads a small blob", func() {
	content := []byte("{}")
	put := func(ctx SpecContext, location string, status int) (sent []seen, err error) {
		w := newWorld()
		var got string
		w.at(home, func(resp http.ResponseWriter, req *http.Request) {
			switch req.Method {
			case http.MethodPost:
				resp.Header().Set("Location", location)
				resp.WriteHeader(http.StatusAccepted)
			case http.MethodPut:
				body, _ := io.ReadAll(req.Body)
				got = req.URL.RawQuery + " " + string(body)
				resp.WriteHeader(status)
			}
		})
		o := w.options(login)
		s, err := o.Session(ctx, reference(o, "reg.example.com/acme/x:1").Context(), transport.PushScope)
		Expect(err).NotTo(HaveOccurred())
		digest, _, err := v1.SHA256(bytes.NewReader(content))
		Expect(err).NotTo(HaveOccurred())
		err = s.PutBlob(ctx, digest, content)
		if err == nil {
			Expect(got).To(Equal("digest=sha256%3A" + digest.Hex + "&state=1 {}"))
		}
		return w.requests(home), err
	}

	It("in two requests", func(ctx SpecContext) {
		for _, location := range []string{"/v2/acme/x/blobs/uploads/1?state=1", home + "/v2/acme/x/blobs/uploads/1?state=1"} {
			sent, err := put(ctx, location, http.StatusCreated)
			Expect(err).NotTo(HaveOccurred())
			Expect(sent).To(HaveLen(3), "and a ping")
		}
	})

	It("and nothing to another host", func(ctx SpecContext) {
		for _, location := range []string{"https://reg.example.com:8443/up", "http://reg.example.com/up", "https://10.0.0.1/up"} {
			sent, err := put(ctx, location, http.StatusCreated)
			Expect(err).To(MatchError(registry.ErrElsewhere))
			Expect(sent).To(HaveLen(2))
		}
	})

	It("or says why not", func(ctx SpecContext) {
		_, err := put(ctx, "", http.StatusCreated)
		Expect(err).To(MatchError(ContainSubstring("Location")))
		_, err = put(ctx, "/up", http.StatusBadRequest)
		Expect(err).To(MatchError(ContainSubstring("400")))
	})
})
