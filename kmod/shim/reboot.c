// SPDX-License-Identifier: GPL-2.0
/*
 * The ways down. A reboot notifier is told and cannot refuse; the last moment is for
 * sealing; and where the kernel has kprobes a kexec can be called off before the
 * point of no return, at liveupdate_reboot(), whose failure the kernel heeds.
 */

#include <linux/kmsg_dump.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/wait_bit.h>
#include "compat.h"
#include "shim.h"

static void *lu_seal_root;
static size_t lu_seal_len;

/* Whenever the machine stops, what is armed is either whole or nothing. */
void lu_reboot_seal(void *root, size_t len)
{
	WRITE_ONCE(lu_seal_root, NULL);
	/* Never the old root with the new length, */
	smp_wmb();
	WRITE_ONCE(lu_seal_len, len);
	/* nor the new root with the old one: pairs with lu_seal(). */
	smp_store_release(&lu_seal_root, root);
}

static void lu_seal(void)
{
	/* Before the length: pairs with lu_reboot_seal(). */
	void *root = smp_load_acquire(&lu_seal_root);

	if (root)
		lu_on_last_moment(root, READ_ONCE(lu_seal_len));
}

static int lu_reboot(struct notifier_block *nb, unsigned long event, void *cmd)
{
	if (event != SYS_RESTART)
		return NOTIFY_DONE;
	lu_on_restart();
	/* Not the last moment, but there is no other: see lu_dumper. */
	if (!IS_ENABLED(CONFIG_PRINTK))
		lu_seal();
	return NOTIFY_DONE;
}

static struct notifier_block lu_reboot_nb = { .notifier_call = lu_reboot };

/* Called after devices and other processors have stopped, as the last thing before the jump. */
static void lu_dump(struct kmsg_dumper *dumper, struct kmsg_dump_detail *detail)
{
	if (detail->reason == KMSG_DUMP_SHUTDOWN)
		lu_seal();
}

static struct kmsg_dumper lu_dumper = {
	.dump = lu_dump,
	.max_reason = KMSG_DUMP_SHUTDOWN,
};

#if IS_ENABLED(CONFIG_KPROBES) && defined(CONFIG_X86_64)

/*
 * A probe's handler may not sleep, so it does nothing but divert: at its entry
 * liveupdate_reboot() becomes lu_gate(), with the same caller and stack, in process
 * context. When that has agreed, it calls lu_resume(), where a second probe diverts
 * back to the original, which returns to lu_gate(). Neither diversion is an indirect
 * call: the original's address is never taken, so that on a processor with branch
 * tracking it may have no mark of a valid target.
 */
#if __has_attribute(__noipa__)
#define lu_noipa	__attribute__((__noipa__))
#else
#define lu_noipa	noinline
#endif

static int lu_gate(void);
static struct task_struct *lu_resuming;
static atomic_t lu_in_gate = ATOMIC_INIT(0);
static bool lu_veto_is_there;

static int lu_divert_in(struct kprobe *probe, struct pt_regs *regs)
{
	if (READ_ONCE(lu_resuming) == current)
		return 0;
	atomic_inc(&lu_in_gate);
	instruction_pointer_set(regs, (unsigned long)lu_gate);
	return 1;
}

/*
 * With a handler for afterwards a probe is never turned into a jump, which would ignore
 * where we divert to, and ftrace knows that it changes the flow (a live patch of the
 * same function is then refused, or this probe is).
 */
static void lu_divert_post(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe lu_probe_in = {
	.symbol_name = "liveupdate_reboot",
	.pre_handler = lu_divert_in,
	.post_handler = lu_divert_post,
};

static int lu_divert_back(struct kprobe *probe, struct pt_regs *regs)
{
	instruction_pointer_set(regs, (unsigned long)lu_probe_in.addr);
	return 1;
}

/*
 * Its body runs only if probes were disarmed meanwhile: then the kexec is called off.
 * What the compiler sees here tells it nothing about what a call does; clang, which
 * knows no __noipa__, would take the constant for what every call returns.
 */
static lu_noipa int lu_resume(void)
{
	int err = -EAGAIN;

	barrier();
	OPTIMIZER_HIDE_VAR(err);
	return err;
}

static struct kprobe lu_probe_back = {
	.addr = (kprobe_opcode_t *)lu_resume,
	.pre_handler = lu_divert_back,
	.post_handler = lu_divert_post,
};

/* In place of liveupdate_reboot(). The kernel's locks let in one kexec at a time. */
static lu_noipa int lu_gate(void)
{
	int err = lu_on_kexec();

	if (err >= 0) {
		WRITE_ONCE(lu_resuming, current);
		err = lu_resume();
		WRITE_ONCE(lu_resuming, NULL);
		if (err)
			lu_on_kexec_aborted();
	}
	if (atomic_dec_and_test(&lu_in_gate))
		wake_up_var(&lu_in_gate);
	return err;
}

static int lu_veto_register(void)
{
	int err = register_kprobe(&lu_probe_back);

	if (err)
		return err;
	err = register_kprobe(&lu_probe_in);
	if (err)
		unregister_kprobe(&lu_probe_back);
	else
		lu_veto_is_there = true;
	return err;
}

static void lu_veto_unregister(void)
{
	if (!lu_veto_is_there)
		return;
	lu_veto_is_there = false;
	unregister_kprobe(&lu_probe_in);
	/* Nobody comes in any more. Who is inside still needs the way back. */
	wait_var_event(&lu_in_gate, !atomic_read(&lu_in_gate));
	/* Nor may the module's code go under who has counted himself out and not yet returned. */
	synchronize_rcu_tasks();
	unregister_kprobe(&lu_probe_back);
}

#else

static int lu_veto_register(void)
{
	return -EOPNOTSUPP;
}

static void lu_veto_unregister(void)
{
}

#endif

int lu_reboot_register(void)
{
	int err = register_reboot_notifier(&lu_reboot_nb);

	if (err)
		return err;
	if (IS_ENABLED(CONFIG_PRINTK)) {
		err = kmsg_dump_register(&lu_dumper);
		if (err) {
			unregister_reboot_notifier(&lu_reboot_nb);
			return err;
		}
	}
	return 0;
}

/*
 * Not when the module comes, which may be while a workload waits for its memory, and
 * to patch the kernel takes longer than all the rest: until something is prepared
 * nothing is there that a kexec could be called off for.
 */
void lu_reboot_want_veto(void)
{
	static bool tried;
	int err;

	if (tried)
		return;
	tried = true;
	err = lu_veto_register();
	if (err)
		pr_info("liveupdate_lab: a kexec cannot be called off on this kernel (%d)\n", err);
}

/* Whoever is in a callback of ours is waited for. Nothing may be armed any more. */
void lu_reboot_unregister(void)
{
	lu_veto_unregister();
	if (IS_ENABLED(CONFIG_PRINTK))
		kmsg_dump_unregister(&lu_dumper);
	unregister_reboot_notifier(&lu_reboot_nb);
}
