// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"fmt"
	"slices"
)

// Member is an entry of the list of members, as the cluster agreed on it. Being listed
// says nothing about being there: a member may be listed that has never started.
type Member struct {
	ID uint64
	// Name is the name of the Node, which the member itself gives when it first starts;
	// empty until then.
	Name string
	// PeerURLs are where the other members reach it.
	PeerURLs []string
	// Learner members follow and have no vote.
	Learner bool
	// Alarms are those that are raised for the member, such as NOSPACE and CORRUPT.
	Alarms []string
}

// Started reports that the member has run: one that has not has no name.
func (m Member) Started() bool { return m.Name != "" }

func (m Member) String() string {
	if m.Started() {
		return fmt.Sprintf("%s (%x)", m.Name, m.ID)
	}
	return fmt.Sprintf("%x at %v (never started)", m.ID, m.PeerURLs)
}

// Answer is what the member on one Node said of itself.
type Answer struct {
	// Err says why it did not answer; empty when it did. The other fields count only then.
	Err string
	ID  uint64
	// Leader is the member that it follows; 0 when it knows of none.
	Leader  uint64
	Learner bool
	// Version is that of the program, such as 3.6.0.
	Version string
	// Index and Applied are the raft indexes committed and applied.
	Index, Applied uint64
	// Problems are what the member itself reports.
	Problems []string
}

// View is what was seen of an etcd cluster in one look.
type View struct {
	// Members is the list that a member with a leader gave (a linearizable read).
	Members []Member
	// Answers are by name of Node, for each Node that was asked.
	Answers map[string]Answer
}

// Voters are the members that have a vote, whether they run or not.
func (v View) Voters() []Member {
	return slices.DeleteFunc(slices.Clone(v.Members), func(m Member) bool { return m.Learner })
}

// Learners are the members that have none.
func (v View) Learners() []Member {
	return slices.DeleteFunc(slices.Clone(v.Members), func(m Member) bool { return !m.Learner })
}

// On is the member on a Node; false when there is none listed of that name. A member that
// has not started yet has no name, and is found by nobody.
func (v View) On(node string) (Member, bool) {
	for _, member := range v.Members {
		if member.Name == node && member.Started() {
			return member, true
		}
	}
	return Member{}, false
}

// ByID is the member with an ID; false when it is not listed.
func (v View) ByID(id uint64) (Member, bool) {
	for _, member := range v.Members {
		if member.ID == id {
			return member, true
		}
	}
	return Member{}, false
}

// Leader is the member that most of those who answered follow; false when nobody knows of
// one that is listed.
func (v View) Leader() (Member, bool) {
	votes := map[uint64]int{}
	for _, answer := range v.Answers {
		if answer.Err == "" && answer.Leader != 0 {
			votes[answer.Leader]++
		}
	}
	best := Member{}
	for _, member := range v.Members {
		if votes[member.ID] > votes[best.ID] {
			best = member
		}
	}
	return best, votes[best.ID] > 0
}

// Problem says what is wrong with a member; empty for one that is healthy: it answers,
// follows a leader, has a vote, no alarm and nothing to report.
func (v View) Problem(member Member) string {
	switch {
	case !member.Started():
		return "the member has never started"
	case len(member.Alarms) > 0:
		return fmt.Sprintf("alarm %v is raised", member.Alarms)
	}
	answer, asked := v.Answers[member.Name]
	switch {
	case !asked:
		return "the member was not asked: its Machine is not known"
	case answer.Err != "":
		return answer.Err
	case answer.ID != member.ID:
		return fmt.Sprintf("the member that answers has ID %x and not %x", answer.ID, member.ID)
	case answer.Leader == 0:
		return "the member has no leader"
	case len(answer.Problems) > 0:
		return fmt.Sprintf("the member reports %v", answer.Problems)
	case member.Learner:
		return "the member is still a learner"
	}
	return ""
}

// Healthy are the voters with nothing wrong.
func (v View) Healthy() []Member {
	return slices.DeleteFunc(v.Voters(), func(m Member) bool { return v.Problem(m) != "" })
}

// Quorum is how many of some voters have to agree.
func Quorum(voters int) int { return voters/2 + 1 }

// Without is what would be left once some members were removed: the voters, and those of
// them that are healthy now. Learners and members that never started count as what they
// are: the former have no vote, the latter a vote that is not given.
func (v View) Without(ids ...uint64) Projection {
	rest := View{Answers: v.Answers, Members: slices.DeleteFunc(slices.Clone(v.Members), func(m Member) bool { return slices.Contains(ids, m.ID) })}
	return Projection{Voters: len(rest.Voters()), Healthy: len(rest.Healthy())}
}

// Projection is a membership as it would be.
type Projection struct {
	Voters, Healthy int
}

// Holds reports that the healthy voters are a quorum of all.
func (p Projection) Holds() bool { return p.Voters > 0 && p.Healthy >= Quorum(p.Voters) }

func (p Projection) String() string {
	return fmt.Sprintf("%d of %d voters healthy, %d needed", p.Healthy, p.Voters, Quorum(p.Voters))
}
