package sink

import "time"

// SetLockPatience changes how long a run waits for a lock before it says so, until
// the function that it returns is called.
func SetLockPatience(d time.Duration) (restore func()) {
	old := lockPatience
	lockPatience = d
	return func() { lockPatience = old }
}
