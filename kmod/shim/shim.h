/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What C gives to Rust: the VFS face of memory files, and kernel inlines. bindgen
 * reads this header inside Kbuild, so that both sides have the same types.
 * Policy, format and state are Rust's; nothing here decides anything.
 */
#ifndef LU_SHIM_H
#define LU_SHIM_H

#include <linux/types.h>
#include <asm/page.h>
#include "../uapi/liveupdate_lab.h"

struct file;
struct folio;

/* bindgen does not expand _IO(); an enumerator it can read. */
enum lu_cmd {
	LU_CMD_FD_PRESERVE = LIVEUPDATE_LAB_FD_PRESERVE,
	LU_CMD_FD_UNPRESERVE = LIVEUPDATE_LAB_FD_UNPRESERVE,
	LU_CMD_FD_RESTORE = LIVEUPDATE_LAB_FD_RESTORE,
	LU_CMD_GET_STATE = LIVEUPDATE_LAB_GET_STATE,
	LU_CMD_PREPARE = LIVEUPDATE_LAB_PREPARE,
	LU_CMD_FREEZE = LIVEUPDATE_LAB_FREEZE,
	LU_CMD_CANCEL = LIVEUPDATE_LAB_CANCEL,
	LU_CMD_FINISH = LIVEUPDATE_LAB_FINISH,
	LU_CMD_MEM_CREATE = LIVEUPDATE_LAB_MEM_CREATE,
};

enum { LU_PAGE_SHIFT = PAGE_SHIFT };

/* mem.c: memory files. */
struct file *lu_mem_new(u64 bytes);
int lu_mem_fill(struct file *file);
bool lu_mem_is(const struct file *file);
u64 lu_mem_size(const struct file *file);
bool lu_mem_same(const struct file *a, const struct file *b);
struct folio *lu_mem_folio(const struct file *file, u64 index);
int lu_mem_attach(struct file *file, u64 index, struct folio *folio);

u64 lu_folio_pfn(const struct folio *folio);
unsigned int lu_folio_order(const struct folio *folio);
void lu_folio_put(struct folio *folio);

/* kho.c: Kexec HandOver. */
bool lu_kho_enabled(void);
int lu_kho_preserve(struct folio *folio);
void lu_kho_unpreserve(struct folio *folio);
void *lu_kho_alloc(size_t size);
void lu_kho_free(void *mem);
int lu_kho_publish(void *blob, size_t size);
void lu_kho_unpublish(void *blob);
int lu_kho_find(void **blob, size_t *size);
void lu_kho_release_found(void *blob);
struct folio *lu_kho_take(u64 pfn, unsigned int order);

/* misc.c: the rest. */
bool lu_capable(void);
bool lu_module_get(void);
void lu_module_put(void);
int lu_args_in(void *dst, size_t ksize, unsigned long arg);
int lu_args_out(unsigned long arg, const void *src, size_t ksize);
bool lu_fault(void);
bool lu_interrupted(void);
int lu_reboot_register(void);
void lu_reboot_unregister(void);

/* Rust gives to C: the machine is going down for a restart, a kexec perhaps. */
void lu_on_restart(void);

#endif /* LU_SHIM_H */
