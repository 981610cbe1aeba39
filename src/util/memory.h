/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * For a program that goes idle, after a burst of work: gives back to the system what the heap has
 * free, and the pages of programs and libraries that the work alone needed. What is needed again is
 * mapped again from the page cache, by itself. Takes some milliseconds.
 */
void memory_give_back(void);
