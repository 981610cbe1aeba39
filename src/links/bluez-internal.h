/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between bluez.c (the bus and what is seen on it), bluez-peer.c (one device), bluez-gatt.c and
 * bluez-turns.c. */
#include "links/bluez.h"
#include <systemd/sd-bus.h>

#define BLUEZ "org.bluez"
#define BLUEZ_ADAPTER "org.bluez.Adapter1"
#define BLUEZ_DEVICE "org.bluez.Device1"
#define BLUEZ_SERVICE "org.bluez.GattService1"
#define BLUEZ_CHARACTERISTIC "org.bluez.GattCharacteristic1"
#define BLUEZ_SMP_SERVICE "8d53dc1d-1db7-4cd3-868b-8a527460aa84"
#define BLUEZ_PATH_MAX \
	128u /* bytes of an object's path, its end included; longer ones are not looked at */

/* What a set of properties said; texts are the message's. */
struct bluez_facts {
	const char *address, *name, *uuid, *service;
	int connected, resolved, powered;    /* -1: not said */
	int write_acquired, notify_acquired; /* -1: not offered */
	bool smp;			     /* it says that it has the SMP service */
	int16_t signal;			     /* 0: not said */
	uint16_t mtu;			     /* 0: not said */
	const uint8_t *value;		     /* NULL: not said */
	size_t value_size;
};

/* docs/DESIGN.md, "Links". */
enum peer_state {
	PEER_CLOSED,
	PEER_FINDING, /* no object of it yet */
	PEER_WAITING, /* for its turn */
	PEER_CONNECTING,
	PEER_PAUSING, /* before the next try to connect */
	PEER_RESOLVING,
	PEER_SEARCHING, /* for the characteristic */
	PEER_NOTIFYING, /* opens the way in */
	PEER_WRITING,	/* opens the way out */
	PEER_UP,
	PEER_LEAVING, /* closed, and BlueZ is disconnecting it */
};

struct bluez_peer {
	struct bluez *b;
	struct bluez_peer *next;
	char *device;
	struct bluez_events events;
	enum peer_state state;
	bool again; /* opened while LEAVING */
	bool holds; /* a turn */
	bool resting;
	bool spoilt;		  /* seen twice under its name */
	bool connected, resolved; /* as BlueZ last said */
	bool had_service;	  /* it was up since BlueZ has known it */
	uint64_t ticket;	  /* order of opening */
	uint64_t since_us;	  /* of its turn */
	uint64_t until_us;	  /* FINDING ends, later tries to connect do */
	uint64_t pause_us;
	sd_event_source *timer;
	sd_bus_slot *call,
		*values; /* the call under way; the match of values that come by signal */
	char path[BLUEZ_PATH_MAX], characteristic[BLUEZ_PATH_MAX]; /* "": not known */
	int in;							   /* until it is up */
	uint16_t mtu;
	bool acquires_in, acquires_out; /* as the characteristic offers it */
	struct bluez_sight sight;
};

/* bluez-survey.c */
struct bluez_survey {
	bluez_surveyed done; /* NULL: none is under way */
	void *ctx;
	sd_event_source *timer;
	struct bluez_found found[BLUEZ_SURVEY_MAX];
	size_t n;
};

struct bluez {
	sd_event *event;
	char *bus_address, *adapter_wanted;
	uint32_t connections;
	struct bluez_timing timing;
	sd_bus *bus; /* NULL: not connected */
	bool ended;  /* the bus has hung up: connected anew before the next use */
	sd_bus_slot *list;
	bool listed; /* GetManagedObjects was answered, and BlueZ is the same since */
	char adapter[BLUEZ_PATH_MAX]; /* the one in use; "": there is none */
	bool powered, discovering;
	struct error unlisted; /* why there is no adapter */
	struct bluez_peer *peers;
	uint64_t tickets;
	struct bluez_survey survey;
	sd_event_source *turn, *exit;
};

/* bluez.c */
void bluez_read(
	sd_bus_message *m, struct bluez_facts *f); /* a{sv}; what is malformed is not said */
int bluez_each_object(sd_bus_message *m,
	void (*see)(
		void *ctx, const char *path, const char *interface, const struct bluez_facts *f),
	void *ctx);
enum ef_reason bluez_connect(struct bluez *b, struct error *e); /* to the bus, if need be */
/* Asks BlueZ for its objects; peer_look of all comes after the answer. */
enum ef_reason bluez_list(struct bluez *b, struct error *e);
/* Starts or ends the search for devices, as peers want it. */
void bluez_discover(struct bluez *b);
int bluez_call(struct bluez *b, sd_bus_slot **slot, const char *path, const char *interface,
	const char *method, sd_bus_message_handler_t reply, void *ctx, const char *types, ...);
const char *bluez_error_text(sd_bus_message *reply);
bool bluez_is_error(sd_bus_message *reply, const char *name);
bool bluez_below(const char *path, const char *parent);
/* Of a device, whose object is called ".../dev_C0_11_22_33_44_55"; false: it is not. */
bool bluez_address(const char *path, char address[18]);

/* bluez-peer.c */
void peer_seen(struct bluez_peer *p, const char *path, const struct bluez_facts *f);
void peer_changed(struct bluez_peer *p, const struct bluez_facts *f); /* of the object at p->path */
void peer_forget(struct bluez_peer *p);				      /* what BlueZ said of it */
void peer_gone(struct bluez_peer *p);				      /* that object */
void peer_vanished(struct bluez_peer *p);			      /* the characteristic */
void peer_look(struct bluez_peer *p);	 /* FINDING: goes on if it can */
void peer_connect(struct bluez_peer *p); /* its turn has come */
void peer_lose(struct bluez_peer *p, enum ef_reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void peer_free(struct bluez_peer *p);

void peer_arm(struct bluez_peer *p, uint64_t after_us);
/* p->call is what is under way; options: with an empty a{sv}. */
int peer_call(struct bluez_peer *p, const char *path, const char *interface, const char *method,
	sd_bus_message_handler_t reply, bool options);
/* Connects anew after a while, or loses the peer when the time for that is over. */
void peer_try_again(struct bluez_peer *p, const char *why);

/* bluez-gatt.c: what is up in the end, or tried again, or lost */
void peer_search(struct bluez_peer *p);

/* bluez-survey.c */
void survey_seen(struct bluez *b, const char *path, const struct bluez_facts *f);
void survey_listed(struct bluez *b);		    /* b->unlisted says how that was */
void survey_lost(struct bluez *b, const char *why); /* the adapter, or BlueZ */

/* bluez-turns.c */
void turns_look(struct bluez *b); /* a turn may have come */
