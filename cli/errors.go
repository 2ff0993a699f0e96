// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// usageError says that the command itself is wrong, not what it met.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, values ...any) error {
	return &usageError{text: fmt.Sprintf(format, values...)}
}

// explain turns an error into what a person is told. Errors of our own packages say
// what, why and what next already; those of the API server are put into words here.
func explain(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return inContext(err, explainStatus(status.Status()))
	}
	var request *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case meta.IsNoMatchError(err):
		return inContext(err, "the management cluster does not know this kind; install Slipway's kinds with: slipway controllers --install")
	case errors.As(err, &request):
		return inContext(err, fmt.Sprintf("%s does not answer (%s)", request.URL, innermost(request)))
	}
	return err.Error()
}

// inContext keeps what our own code said before the foreign part of an error.
func inContext(err error, tail string) string {
	foreign := foreignPart(err)
	if before, found := strings.CutSuffix(err.Error(), foreign); found && before != "" {
		return before + tail
	}
	return tail
}

// foreignPart is the text of the error within err that the API machinery made.
func foreignPart(err error) string {
	for err != nil {
		switch err.(type) { //nolint:errorlint // it is unwrapped step by step, to find the layer whose text is foreign
		case apierrors.APIStatus, *url.Error, *meta.NoKindMatchError, *meta.NoResourceMatchError:
			return err.Error()
		}
		err = errors.Unwrap(err)
	}
	return ""
}

func explainStatus(status metav1.Status) string {
	object := "the object"
	if status.Details != nil && status.Details.Name != "" {
		object = strings.TrimSpace(status.Details.Kind + " " + status.Details.Name)
	}
	switch status.Reason {
	case metav1.StatusReasonInvalid:
		var causes []string
		for _, cause := range status.Details.Causes {
			text := strings.TrimPrefix(cause.Message, "Invalid value: ")
			if cause.Field != "" && cause.Field != "<nil>" {
				text = cause.Field + ": " + text
			}
			causes = append(causes, text)
		}
		return fmt.Sprintf("%s is refused: %s", object, strings.Join(causes, "; "))
	case metav1.StatusReasonUnauthorized:
		return "the management cluster does not accept the credentials of the kubeconfig; take a current one"
	case metav1.StatusReasonForbidden:
		return fmt.Sprintf("not allowed: %s; use a kubeconfig of a user who may", status.Message)
	default:
		return status.Message
	}
}

// innermost is the last cause in a chain of errors: of a failed request it is the
// part that tells something.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}
