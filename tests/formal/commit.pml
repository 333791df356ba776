/* Commit, election and late writes, small enough to look at every state there is.
 *
 * Brokers that may pause anywhere, die, step down and come again; one object that changes by
 * compare-and-swap; clients whose operations are acknowledged, refused, or left in doubt. A write's
 * request or its answer may be lost, and a write may land long after its sender has given up or
 * died, any number of times. Nothing here knows the time: a broker may try to take the place at any
 * moment.
 *
 * Bounded are the operations, the epochs, the commits of an epoch, and the writes that are late at
 * one time. A comment in brackets names the code that a step stands for. The mutants (-DM_…) leave
 * out a rule each, and must be found out. -DPROGRESS asks whether all ends well once nothing fails
 * any more.
 */

#ifndef OPS
#define OPS 2
#endif
#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef NUMBERS
#define NUMBERS 4
#endif
#ifndef LATES
#define LATES 2
#endif
#ifndef IDS
#define IDS 1   /* how many of the operations have an id, by which a repeated one is known */
#endif
#define BROKERS 2
#define NOBODY 3
#define NONE 0

/* A version of the object is one number, as if its bytes: whoever compares versions compares all.
 *
 *     lineage: a name | start, writer, number, epoch: its name | releases | twice | applied
 *
 * "applied" are the operations whose effect stands in it, and "twice" says that one does so twice.
 * The name is the code's <epoch>-<number>-<writer>, where a writer is a broker and its start. The
 * lineage is the last landed commit of the leader before; the code remembers 64 of them, so here
 * what is forgotten soon is looked at, too. Nothing stands there at first: 0.
 */
#define applied_in(v) ((v) & 7)
#define is_twice(v) (((v) >> 3) & 1)
#define releases(v) (((v) >> 4) & 1)
#define name_of(v) (((v) >> 5) & 511)
#define epoch_of(v) (((v) >> 5) & 7)
#define number_of(v) (((v) >> 8) & 7)
#define broker_of(v) (((v) >> 11) & 3)
#define start_of(v) (((v) >> 13) & 1)
#define lineage_of(v) ((v) >> 14)
#define epoch_in(name) ((name) & 7)
#define bytes(lineage, name, free, again, ops) \
    ((lineage) << 14 | (name) << 5 | (free) << 4 | (again) << 3 | (ops))
#define name(start, broker, number, epoch) \
    ((start) << 8 | (broker) << 6 | (number) << 3 | (epoch))

/* "%d-%d-%d%c" */
#define called(v) epoch_of(v), number_of(v), broker_of(v) + 1, 'a' + start_of(v)
#define letter(op) ('A' + (op))
#define bit_of(op) (1 << (op))

mtype:phase = { standby, ready, writing, backing_off, reading_back };
mtype:call = { idle, sent, written };
mtype:knows = { unsent, waiting, done, unsure, waiting_again };

typedef Term {
    mtype:phase phase;
    mtype:call call;    /* the write under way, and what its sender will hear of it */
    int base;           /* the version known to be durable: what a commit builds upon and replaces */
    int commit;         /* its bytes are fixed, and its fate is not known */
    byte pending;       /* operations applied, and in no commit yet */
    bool led;           /* the place was taken by a durable commit */
    bool stopping;
    bool start          /* tells this start of the broker from one whose write is late */
#ifdef M_APPLY_AGAIN
    ; byte kept
#endif
};

typedef Client {
    mtype:knows knows;
    byte at             /* the broker that is to answer */
};

int version;            /* what stands in the object */
int late[LATES];        /* writes on that version that nobody waits for, the largest first */
Term term[BROKERS];
Client client[OPS];
bool calm;              /* from now on nothing fails */

#ifdef SHORTEST
#define scratch         /* a search by breadth takes none that is hidden */
#else
#define scratch hidden
#endif
scratch byte i, fate;
scratch int copy, other;

#define LANDED 1
#define NOT_APPLIED 2
#define UNKNOWN 3

#define broken(law) printf(law); assert(false)

/* The store */

#ifdef M_BLIND_TAKEOVER
#define replaces(base, v) ((base) == version || number_of(v) == 1)
#else
#define replaces(base, v) ((base) == version)
#endif

/* A version replaces another, which never comes back: what builds upon that is void. */
inline land(base_, new) {
    printf("store: %d-%d-%d%c lands on %d-%d-%d%c\n", called(new), called(version));
    if
    :: base_ != version -> broken("BROKEN: a version was replaced unseen\n")
    :: else
    fi;
    if
    :: number_of(new) == 1 && epoch_of(new) <= epoch_of(version) ->
        broken("BROKEN: an epoch was taken twice, or went back\n")
    :: number_of(new) > 1 && (epoch_of(new) != epoch_of(version) ||
            broker_of(new) != broker_of(version) || start_of(new) != start_of(version)) ->
        broken("BROKEN: an epoch has two writers\n")
    :: else
    fi;
    if :: is_twice(new) -> broken("BROKEN: an operation took effect twice\n") :: else fi;
    if
    :: applied_in(version) & ~applied_in(new) -> broken("BROKEN: an effect was lost\n")
    :: else
    fi;
    for (i : 0 .. OPS - 1) {
        if
        :: client[i].knows == done && !(applied_in(new) & bit_of(i)) ->
            broken("BROKEN: what was acknowledged is not durable\n")
        :: client[i].knows == unsent && (applied_in(new) & bit_of(i)) ->
            broken("BROKEN: what was called not applied took effect\n")
        :: else
        fi
    };
    version = new;
    for (i : 0 .. LATES - 1) {
#ifdef M_BLIND_TAKEOVER
        if :: number_of(late[i]) != 1 -> late[i] = 0 :: else fi
#else
        late[i] = 0
#endif
    };
    i = 0
}

/* A write may land from now on, at any time or never. So a request that is lost is a late one. */
inline delay(base_, v) {
    copy = v * replaces(base_, v);
    for (i : 0 .. LATES - 1) {
        if
        :: copy == late[i] -> copy = 0
        :: copy > late[i] -> other = late[i]; late[i] = copy; copy = other
        :: else
        fi
    };
    i = 0; copy = 0; other = 0
}

#define arrives(k) :: d_step { late[k] != 0 -> land(version, late[k]) }

proctype Store() {
end:
    do
    arrives(0)
#if LATES > 1
    arrives(1)
#endif
#if LATES > 2
    arrives(2)
#endif
    od
}

/* What clients hear */

inline acknowledge(which) {
    for (i : 0 .. OPS - 1) {
        if
        :: (which & bit_of(i)) && client[i].at == me ->
            printf("broker %d: tells %c that it is done\n", me + 1, letter(i));
            client[i].knows = done; client[i].at = NOBODY;
            if
            :: !(applied_in(version) & bit_of(i)) ->
                broken("BROKEN: what was acknowledged is not durable\n")
            :: else
            fi
        :: else
        fi
    };
    i = 0
}

inline refuse(which) {
    for (i : 0 .. OPS - 1) {
        if
        :: (which & bit_of(i)) && client[i].at == me ->
            printf("broker %d: tells %c that it was not applied\n", me + 1, letter(i));
            client[i].at = NOBODY;
            if
#ifndef M_LAST_ANSWER
            :: client[i].knows == waiting_again -> client[i].knows = unsure
#endif
            :: else ->
                client[i].knows = unsent;
                if
                :: applied_in(version) & bit_of(i) ->
                    broken("BROKEN: what was called not applied took effect\n")
                :: else
                fi
            fi
        :: else
        fi
    };
    i = 0
}

inline leave_in_doubt(which) {
    for (i : 0 .. OPS - 1) {
        if
        :: (which & bit_of(i)) && client[i].at == me ->
            printf("broker %d: tells %c that nobody knows\n", me + 1, letter(i));
            client[i].knows = unsure; client[i].at = NOBODY
        :: else
        fi
    };
    i = 0
}

/* A broker's term: the committer */

#ifdef HEARTBEATS
#define may_beat (!calm && !term[me].stopping)
#else
#define may_beat false
#endif

#define at_work (term[me].phase != standby)
#define resolved (term[me].commit == NONE)
#define in_commit (applied_in(term[me].commit) & ~applied_in(term[me].base))
#ifdef M_SAME_EPOCH
#define epoch_taken (epoch_of(term[me].base) + (term[me].base == 0))
#else
#define epoch_taken (epoch_of(term[me].base) + 1)
#endif
#define first_name name(term[me].start, me, 1, epoch_taken)
#define name_taken(x) name(x, me, 1, epoch_of(version) + 1)
#define is_late(v) (name_of(late[0]) == (v) || name_of(late[LATES - 1]) == (v))
#define next_name (name(start_of(term[me].base), me, \
    number_of(term[me].base) + 1, epoch_of(term[me].base)))
#define room (number_of(term[me].base) < NUMBERS)

inline fix(as, lineage, free) {
    term[me].commit = bytes(lineage, as, free,
        ((applied_in(term[me].base) & term[me].pending) != 0),
        (applied_in(term[me].base) | term[me].pending));
    term[me].pending = 0;
    term[me].phase = writing; term[me].call = sent
}

inline end_term() {
    refuse(term[me].pending);
    term[me].phase = standby; term[me].call = idle;
    term[me].base = NONE; term[me].commit = NONE;
    term[me].pending = 0; term[me].led = false; term[me].stopping = false;
    term[me].start = 0
}

inline has_landed() {
    acknowledge(in_commit);
    term[me].base = term[me].commit; term[me].commit = NONE;
    term[me].phase = ready; term[me].call = idle;
    term[me].led = true; term[me].start = 0;
    if
    :: releases(term[me].base) -> end_term()
    :: else
    fi
}

inline leave_late() {
    if
    :: term[me].call == sent -> delay(term[me].base, term[me].commit)
    :: else
    fi
}

inline hears_nothing() {
    term[me].phase = backing_off;
    if :: term[me].call == written -> term[me].call = idle :: else fi
}

inline fenced(by) {
    printf("broker %d: %d-%d-%d%c stands there: it leads no more\n", me + 1, called(by));
    if
    :: resolved -> fate = NOT_APPLIED
    :: !resolved && lineage_of(by) == name_of(term[me].commit) -> fate = LANDED
    :: !resolved && lineage_of(by) != name_of(term[me].commit) &&
            epoch_in(lineage_of(by)) == epoch_of(term[me].commit) -> fate = NOT_APPLIED
    :: else -> fate = UNKNOWN
    fi;
#ifdef M_NO_LINEAGE
    fate = NOT_APPLIED;
#endif
    if
    :: fate == LANDED -> acknowledge(in_commit)
#ifdef M_IGNORE_EPOCH
    :: fate == NOT_APPLIED -> term[me].pending = term[me].pending | in_commit
#else
    :: fate == NOT_APPLIED -> refuse(in_commit)
#endif
    :: else ->
        leave_in_doubt(in_commit)
#ifdef M_APPLY_AGAIN
        ; term[me].kept = in_commit
#endif
    fi;
    fate = 0;
#ifdef M_IGNORE_EPOCH
    term[me].base = by; term[me].commit = NONE; term[me].phase = ready; term[me].led = true
#else
    end_term()
#endif
}

/* The leader that the object names, if it is still at work. */
#define runs(x) (term[x].phase != standby && version != 0 && \
    (term[x].led && term[x].base == version || term[x].commit == version))
#define may_take (calm -> !(runs(0) || runs(1)) : epoch_of(version) < EPOCHS)

proctype Broker(byte me) {
end:
    do
    /* The election */
    :: d_step { !at_work && may_take && !is_late(name_taken(1)) ->
        printf("broker %d: loads %d-%d-%d%c, would lead\n", me + 1, called(version));
        term[me].base = version; term[me].phase = ready;
        term[me].start = is_late(name_taken(0))
#ifdef M_APPLY_AGAIN
        ; term[me].pending = term[me].kept; term[me].kept = 0
#endif
       }

    /* A commit's bytes are fixed, and put */
    :: d_step { term[me].phase == ready && !term[me].led ->
        fix(first_name, name_of(term[me].base), 0);
        printf("broker %d: puts %d-%d-%d%c on %d-%d-%d%c, to take the place\n",
            me + 1, called(term[me].commit), called(term[me].base))
       }
    :: d_step { term[me].phase == ready && term[me].led && room &&
            (term[me].pending || may_beat) ->
        fix(next_name, lineage_of(term[me].base), 0);
        printf("broker %d: puts %d-%d-%d%c on %d-%d-%d%c\n",
            me + 1, called(term[me].commit), called(term[me].base))
       }
    :: d_step { term[me].phase == ready && term[me].led && room &&
            term[me].stopping && !term[me].pending ->
        fix(next_name, lineage_of(term[me].base), 1);
        printf("broker %d: puts %d-%d-%d%c on %d-%d-%d%c, to give the place back\n",
            me + 1, called(term[me].commit), called(term[me].base))
       }
#ifndef M_NO_RETRY
    :: d_step { term[me].phase == backing_off ->
#ifdef M_NEW_BYTES
        if
        :: term[me].led ->
            leave_late();
            term[me].commit = bytes(lineage_of(term[me].commit),
                name_of(term[me].commit) + (1 << 3), releases(term[me].commit),
                is_twice(term[me].commit), (applied_in(term[me].commit) | term[me].pending));
            term[me].pending = 0
        :: else
        fi;
#endif
        printf("broker %d: puts %d-%d-%d%c again\n", me + 1, called(term[me].commit));
        term[me].phase = writing; term[me].call = sent
       }
#endif
#ifdef M_TRUST_REREAD
    :: d_step { term[me].phase == backing_off && term[me].led && version == term[me].base ->
        printf("broker %d: reads its base, so its commit was not applied\n", me + 1);
        leave_late(); refuse(in_commit);
        term[me].commit = NONE; term[me].call = idle; term[me].phase = ready
       }
#endif
#ifdef M_EARLY_RELEASE
    :: d_step { term[me].phase == backing_off && term[me].led && term[me].stopping &&
            !releases(term[me].commit) ->
        leave_late(); refuse(in_commit | term[me].pending);
        term[me].commit = bytes(lineage_of(term[me].commit), name_of(term[me].commit) + (1 << 3),
            1, 0, applied_in(term[me].base));
        term[me].pending = 0;
        printf("broker %d: puts %d-%d-%d%c, to give the place back\n", me + 1,
            called(term[me].commit));
        term[me].phase = writing; term[me].call = sent
       }
#endif

    /* A request arrives, whether its sender waits for the answer or not */
    :: d_step { term[me].call == sent && replaces(term[me].base, term[me].commit) ->
        land(term[me].base, term[me].commit);
        if
        :: term[me].phase == writing -> term[me].call = written
        :: else -> term[me].call = idle
        fi
       }

    /* The answer comes, is lost, or is wrong */
    :: d_step { term[me].call == written ->
        printf("broker %d: hears that it is written\n", me + 1);
        has_landed()
       }
    :: d_step { term[me].phase == writing && term[me].call == sent &&
            !replaces(term[me].base, term[me].commit) ->
        printf("broker %d: hears of a conflict\n", me + 1);
#ifdef M_CONFLICT_PROVES
        refuse(in_commit); end_term()
#else
        term[me].call = idle; term[me].phase = reading_back
#endif
       }
    :: d_step { !calm && term[me].phase == writing ->
        printf("broker %d: hears nothing; request or answer are lost or late\n", me + 1);
        hears_nothing()
       }
    :: d_step { !calm && term[me].phase == writing ->
        printf("broker %d: hears of a conflict, falsely\n", me + 1);
        hears_nothing(); term[me].phase = reading_back
       }

    /* After a conflict, what stands there decides */
    :: d_step { term[me].phase == reading_back && version == term[me].base ->
        printf("broker %d: reads its base, which proves nothing\n", me + 1);
        term[me].phase = backing_off
       }
    :: d_step { term[me].phase == reading_back && version == term[me].commit ->
        printf("broker %d: reads its own commit: it has landed\n", me + 1);
        has_landed()
       }
    :: d_step { term[me].phase == reading_back &&
            version != term[me].base && version != term[me].commit ->
        fenced(version)
       }
    :: d_step { term[me].phase == ready && term[me].led && version != term[me].base ->
        fenced(version)
       }

    /* The end of a term */
    :: d_step { !calm && term[me].led && !term[me].stopping ->
        printf("broker %d: is to stop\n", me + 1);
        term[me].stopping = true
       }
    :: d_step { !calm && at_work && term[me].stopping ->
        printf("broker %d: stops, whatever is unresolved\n", me + 1);
        leave_late();
        leave_in_doubt(in_commit);
#ifdef M_APPLY_AGAIN
        term[me].kept = in_commit;
#endif
        end_term()
       }
    :: d_step { !calm && at_work ->
        printf("broker %d: dies\n", me + 1);
        leave_late();
        leave_in_doubt(bit_of(OPS) - 1);
        end_term()
       }
    od
}

/* A client has one operation, and asks until it knows what became of it. What has an id is sent
 * again also when that is in doubt; the rest only when it was surely not applied.
 */

#ifdef EAGER
#define takes_ops(x) (term[x].phase != standby && !term[x].stopping)
#else
#define takes_ops(x) (term[x].led && !term[x].stopping)
#endif
#define wants (client[op].at == NOBODY && \
    (client[op].knows == unsent || (op < IDS && client[op].knows == unsure)))
#define asks(x) :: d_step { wants && takes_ops(x) -> submit(x) }

inline submit(x) {
    printf("client: sends %c to broker %d\n", letter(op), x + 1);
    client[op].knows = (client[op].knows == unsure -> waiting_again : waiting);
    client[op].at = x;
    if
    :: op < IDS && (applied_in(term[x].base) & bit_of(op)) ->
        printf("broker %d: tells %c that it was done before\n", x + 1, letter(op));
        client[op].knows = done; client[op].at = NOBODY
    :: op < IDS && term[x].commit != NONE && (applied_in(term[x].commit) & bit_of(op))
    :: else -> term[x].pending = term[x].pending | bit_of(op)
    fi
#ifdef M_EARLY_ANSWER
    ; client[op].knows = done; client[op].at = NOBODY
#endif
}

proctype Asker(byte op) {
end:
    do
    asks(0)
    asks(1)
    :: d_step { !calm && client[op].at != NOBODY ->
        printf("client: waits no more for %c\n", letter(op));
        client[op].knows = unsure; client[op].at = NOBODY
       }
    od
}

#ifdef PROGRESS
#define settled(op) (client[op].knows == done || (op >= IDS && client[op].knows == unsure))

active proctype Weather() {
    d_step { calm = true; printf("from now on nothing fails\n") }
}

#if OPS == 1
ltl progress { [] (calm -> <> settled(0)) }
#else
ltl progress { [] (calm -> <> (settled(0) && settled(1))) }
#endif
#endif

init {
    d_step {
        for (i : 0 .. BROKERS - 1) {
            term[i].phase = standby; term[i].call = idle;
            term[i].base = NONE; term[i].commit = NONE
        };
        for (i : 0 .. OPS - 1) { client[i].knows = unsent; client[i].at = NOBODY };
        i = 0
    };
    atomic {
        run Store(); run Broker(0); run Broker(1); run Asker(0);
#if OPS > 1
        run Asker(1);
#endif
#if OPS > 2
        run Asker(2)
#endif
    }
}
