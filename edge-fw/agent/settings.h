/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The settings of a node: a fixed table of numbers with a range and a default; nothing else can be
 * stored. They are part of the state record, so that a change of them is as safe from power cuts as
 * everything in it.
 */
#include <stdint.h>

enum setting {
	SETTING_PERIOD,	  /* "app/period": milliseconds of the application's periodic task */
	SETTING_DEADLINE, /* "trial/deadline": seconds that a trial lasts when nobody says */
	SETTING_COUNT
};

struct settings {
	uint16_t written[SETTING_COUNT];  /* what read shows */
	uint16_t in_force[SETTING_COUNT]; /* 0 in a program that has no settings */
};

struct agent;

/* Puts what is stored in force; by an application, after agent_init. */
void settings_load(struct agent *a);
