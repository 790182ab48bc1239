package registry

// NewTransport is the transport of a pool.
var NewTransport = newTransport
