// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a pseudo-terminal is set to, ioctl_tty(2): both sides have one set of modes, locked modes
 * and one size, which the master tells and takes as the slave does. Speeds are those of termios2.
 */
#include "kinds/ttys/ttys.h"

#include "base/arena.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/tty.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef TIOCGPTLCK
#define TIOCGPTLCK _IOR('T', 0x39, int)
#define TIOCGPKT   _IOR('T', 0x38, int)
#define TIOCGEXCL  _IOR('T', 0x40, int)
#endif

/* struct winsize of asm/termios.h, which the C library's header of ioctls hides. */
struct size {
	unsigned short rows, columns, x_pixels, y_pixels;
};

/* The images have the characters as CRIU does: their bytes lie over the numbers, four in one. */
static TermiosEntry *new_modes(struct arena *arena, const struct termios2 *modes)
{
	TermiosEntry *entry = arena_new(arena, TermiosEntry);

	termios_entry__init(entry);
	entry->c_iflag = modes->c_iflag;
	entry->c_oflag = modes->c_oflag;
	entry->c_cflag = modes->c_cflag;
	entry->c_lflag = modes->c_lflag;
	entry->c_line = modes->c_line;
	entry->c_ispeed = modes->c_ispeed;
	entry->c_ospeed = modes->c_ospeed;
	entry->n_c_cc = NCCS;
	entry->c_cc = arena_array(arena, uint32_t, NCCS);
	memcpy(entry->c_cc, modes->c_cc, NCCS);
	return entry;
}

static struct termios2 modes_of(const TermiosEntry *entry)
{
	struct termios2 modes = { .c_iflag = entry->c_iflag,
				  .c_oflag = entry->c_oflag,
				  .c_cflag = entry->c_cflag,
				  .c_lflag = entry->c_lflag,
				  .c_line = (cc_t)entry->c_line,
				  .c_ispeed = entry->c_ispeed,
				  .c_ospeed = entry->c_ospeed };

	if (entry->n_c_cc * sizeof *entry->c_cc >= NCCS)
		memcpy(modes.c_cc, entry->c_cc, NCCS);
	return modes;
}

int pty_state_read(int master, TtyInfoEntry *info, struct arena *arena, const char *what,
		   struct error *err)
{
	struct termios2 modes;
	struct termios locked;
	struct termios2 locked_modes = { 0 };
	struct size size;
	int exclusive = 0, packet = 0;

	if (ioctl(master, TCGETS2, &modes) < 0 || ioctl(master, TIOCGLCKTRMIOS, &locked) < 0 ||
	    ioctl(master, TIOCGWINSZ, &size) < 0 || ioctl(master, TIOCGEXCL, &exclusive) < 0 ||
	    (info->type == TTY_TYPE__PTY && ioctl(master, TIOCGPKT, &packet) < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read how it is set", what);
	memcpy(&locked_modes, &locked, sizeof locked);
	if (modes.c_line != N_TTY)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s has line discipline %u, not that of terminals (N_TTY)", what,
			    modes.c_line);
	info->termios = new_modes(arena, &modes);
	info->termios_locked = new_modes(arena, &locked_modes);
	info->exclusive = exclusive != 0;
	info->packet_mode = packet != 0;
	info->winsize = arena_new(arena, WinsizeEntry);
	winsize_entry__init(info->winsize);
	info->winsize->ws_row = size.rows;
	info->winsize->ws_col = size.columns;
	info->winsize->ws_xpixel = size.x_pixels;
	info->winsize->ws_ypixel = size.y_pixels;
	return 0;
}

int pty_state_check(const TtyInfoEntry *info, struct error *err)
{
	if ((info->type != TTY_TYPE__PTY && info->type != TTY_TYPE__EXT_TTY) ||
	    (info->type == TTY_TYPE__PTY && !info->pty))
		return fail(err, ERR_IMAGE_UNSUPPORTED, "terminal %u is no pseudo-terminal",
			    info->id);
	if (info->termios && info->termios->c_line != 0)
		return fail(err, ERR_IMAGE_UNSUPPORTED, "terminal %u has line discipline %u",
			    info->id, info->termios->c_line);
	return 0;
}

int pty_size_write(int master, const TtyInfoEntry *info, struct error *err)
{
	if (info->winsize) {
		struct size size = { (unsigned short)info->winsize->ws_row,
				     (unsigned short)info->winsize->ws_col,
				     (unsigned short)info->winsize->ws_xpixel,
				     (unsigned short)info->winsize->ws_ypixel };
		if (ioctl(master, TIOCSWINSZ, &size) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "terminal %u: cannot set its size", info->id);
	}
	return 0;
}

int pty_state_write(int master, const TtyInfoEntry *info, struct error *err)
{
	if (info->termios) {
		struct termios2 modes = modes_of(info->termios);
		if (ioctl(master, TCSETS2, &modes) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "terminal %u: cannot set its modes", info->id);
	}
	return pty_size_write(master, info, err);
}

int pty_state_lock(int master, const TtyInfoEntry *info, struct error *err)
{
	int packet = info->packet_mode, is_locked = info->locked;

	if (info->termios_locked) {
		struct termios2 modes = modes_of(info->termios_locked);
		struct termios locked;
		memcpy(&locked, &modes, sizeof locked);
		/* Takes CAP_SYS_ADMIN, which is not missed where none are locked. */
		struct termios none = { 0 };
		if (memcmp(&locked, &none, sizeof none) != 0 &&
		    ioctl(master, TIOCSLCKTRMIOS, &locked) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "terminal %u: cannot lock its modes", info->id);
	}
	if ((packet && ioctl(master, TIOCPKT, &packet) < 0) ||
	    (info->exclusive && ioctl(master, TIOCEXCL) < 0) ||
	    (info->master_stopped && ioctl(master, TCXONC, TCOOFF) < 0) ||
	    (is_locked && ioctl(master, TIOCSPTLCK, &is_locked) < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "terminal %u: cannot set how it is used",
				  info->id);
	return 0;
}
