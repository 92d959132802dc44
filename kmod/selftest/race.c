// SPDX-License-Identifier: GPL-2.0
/* Threads that register and unregister subsystems against one another. */

#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include "../include/liveupdate_lab.h"
#include "selftest.h"

#define LU_RACE_THREADS	16
#define LU_RACE_ROUNDS	10000

struct lu_race {
	u32 rounds;
	bool stop;
	atomic64_t registered, exist, busy, other;
	atomic_t running;
	wait_queue_head_t done;
};

struct lu_racer {
	struct lu_race *race;
	struct task_struct *task;
	char name[16];
	struct liveupdate_lab_subsystem subsystem;
};

static const struct liveupdate_lab_subsystem_ops lu_race_ops = { .owner = THIS_MODULE };

static void lu_race_count(struct lu_race *race, int err)
{
	switch (err) {
	case 0:
		atomic64_inc(&race->registered);
		break;
	case -EEXIST:
		atomic64_inc(&race->exist);
		break;
	case -EBUSY:
		atomic64_inc(&race->busy);
		break;
	default:
		atomic64_inc(&race->other);
	}
}

static void lu_race_round(struct lu_racer *racer)
{
	int err = liveupdate_lab_register_subsystem(&racer->subsystem);

	if (!err) {
		/* Let the other one find it taken. */
		cond_resched();
		/* It is ours: if the state changed meanwhile, wait until it is left. */
		do {
			err = liveupdate_lab_unregister_subsystem(&racer->subsystem);
			if (err == -EBUSY)
				schedule_timeout_uninterruptible(1);
		} while (err == -EBUSY);
	}
	lu_race_count(racer->race, err);
}

static int lu_race_thread(void *arg)
{
	struct lu_racer *racer = arg;
	struct lu_race *race = racer->race;

	for (u32 i = 0; i < race->rounds && !READ_ONCE(race->stop); i++) {
		lu_race_round(racer);
		cond_resched();
	}
	if (atomic_dec_and_test(&race->running))
		wake_up(&race->done);
	/* Until it is collected: nothing of this module's may run after the call. */
	set_current_state(TASK_INTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_INTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static int lu_race_start(struct lu_race *race, struct lu_racer *racer, u32 number)
{
	snprintf(racer->name, sizeof(racer->name), "race-%u", number / 2);
	racer->race = race;
	racer->subsystem = (struct liveupdate_lab_subsystem) {
		.ops = &lu_race_ops,
		.name = racer->name,
	};
	atomic_inc(&race->running);
	racer->task = kthread_run(lu_race_thread, racer, "lu_race/%u", number);
	if (!IS_ERR(racer->task))
		return 0;
	atomic_dec(&race->running);
	return PTR_ERR(racer->task);
}

int lu_selftest_race(struct liveupdate_lab_selftest_race *args)
{
	struct lu_race race = { .rounds = args->rounds };
	struct lu_racer *racers;
	u32 started = 0;
	int err = 0;

	if (!args->threads || args->threads > LU_RACE_THREADS ||
	    !args->rounds || args->rounds > LU_RACE_ROUNDS)
		return -EINVAL;
	racers = kcalloc(args->threads, sizeof(*racers), GFP_KERNEL);
	if (!racers)
		return -ENOMEM;
	init_waitqueue_head(&race.done);

	while (started < args->threads && !err) {
		err = lu_race_start(&race, &racers[started], started);
		started += !err;
	}
	if (!err && wait_event_killable(race.done, !atomic_read(&race.running)))
		err = -EINTR;
	WRITE_ONCE(race.stop, true);
	for (u32 i = 0; i < started; i++)
		kthread_stop(racers[i].task);
	kfree(racers);

	args->registered = atomic64_read(&race.registered);
	args->exist = atomic64_read(&race.exist);
	args->busy = atomic64_read(&race.busy);
	args->other = atomic64_read(&race.other);
	return err;
}
