// SPDX-License-Identifier: Apache-2.0

package standalone

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// SameBuild says whether the process that runs the management cluster runs the same
// build of this program as the process that asks: a build in between changes nothing
// in one that runs. It is true where that cannot be found out.
func (s State) SameBuild() bool {
	if s.PID == 0 {
		return true
	}
	same, err := sameContent(fmt.Sprintf("/proc/%d/exe", s.PID), "/proc/self/exe")
	return err != nil || same
}

// sameContent compares two files. The binary of a process can be read when its file is
// long replaced.
func sameContent(one, other string) (bool, error) {
	a, err := os.Open(one)
	if err != nil {
		return false, err
	}
	defer func() { _ = a.Close() }()
	b, err := os.Open(other)
	if err != nil {
		return false, err
	}
	defer func() { _ = b.Close() }()
	infoA, err := a.Stat()
	if err != nil {
		return false, err
	}
	infoB, err := b.Stat()
	if err != nil {
		return false, err
	}
	if os.SameFile(infoA, infoB) || infoA.Size() != infoB.Size() {
		return os.SameFile(infoA, infoB), nil
	}
	sumA, errA := checksum(a)
	sumB, errB := checksum(b)
	return bytes.Equal(sumA, sumB), errors.Join(errA, errB)
}

func checksum(content io.Reader) ([]byte, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, content)
	return sum.Sum(nil), err
}
