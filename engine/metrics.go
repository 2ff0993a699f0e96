// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/slipway-project/slipway/plan"
)

var (
	plansTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_plans_total", Help: "Plans made, by controller and by the kind and reason of their outcome.",
	}, []string{"controller", "outcome", "reason"})
	plansRefused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_plans_refused_total", Help: "Plans that broke an invariant and were not carried out.",
	}, []string{"controller"})
	plansRepeated = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_plans_repeated_total", Help: "Plans whose actions had just been carried out before: they changed nothing that the controller sees.",
	}, []string{"controller"})
	actionsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_actions_total", Help: "Actions carried out, by controller, verb, kind and result (ok, retry, error).",
	}, []string{"controller", "verb", "kind", "result"})
	eventToApplied = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "slipway_event_to_applied_seconds", Help: "Seconds from the first event of a key to the end of the plan that answered it with actions.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	}, []string{"controller"})
	barrierWaits = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slipway_barrier_waits_total", Help: "Passes put off because the cache did not show the controller's own writes yet.",
	}, []string{"controller"})
)

func init() {
	metrics.Registry.MustRegister(plansTotal, plansRefused, plansRepeated, actionsTotal, eventToApplied, barrierWaits)
}

func (r *run) count(outcome plan.Outcome) {
	plansTotal.WithLabelValues(r.name, string(outcome.Kind), outcome.Reason).Inc()
}

func countAction(controller string, action plan.Action, err error) {
	result := "ok"
	switch {
	case err != nil && retryNow(err):
		result = "retry"
	case err != nil:
		result = "error"
	}
	verb := action.Verb()
	if apply, ok := action.(plan.Apply); ok && apply.Subresource != "" {
		verb = strings.Join([]string{verb, apply.Subresource}, "/")
	}
	actionsTotal.WithLabelValues(controller, verb, action.Target().Kind, result).Inc()
}
