/* A Modbus server that is not made with pymodbus, so that both ends are not the same library.
 *
 * usage: modbus_server tcp PORT  |  modbus_server rtu PATH
 *
 * Serves 1000 addresses in each table: holding register n holds 3n+1, input register n 5n+2,
 * coil n is n % 3 == 0, discrete input n is n % 5 == 0. Anything beyond is refused (exception 2).
 */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 1000 };

static modbus_mapping_t *make_mapping(void)
{
    modbus_mapping_t *mapping = modbus_mapping_new(SIZE, SIZE, SIZE, SIZE);
    for (int n = 0; n < SIZE; n++) {
        mapping->tab_registers[n] = (uint16_t)(3 * n + 1);
        mapping->tab_input_registers[n] = (uint16_t)(5 * n + 2);
        mapping->tab_bits[n] = n % 3 == 0;
        mapping->tab_input_bits[n] = n % 5 == 0;
    }
    return mapping;
}

static void answer(modbus_t *bus, modbus_mapping_t *mapping)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    for (;;) {
        int length = modbus_receive(bus, query);
        if (length == -1)
            return;
        if (length > 0)
            modbus_reply(bus, query, length, mapping);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    modbus_mapping_t *mapping = make_mapping();
    if (strcmp(argv[1], "tcp") == 0) {
        modbus_t *bus = modbus_new_tcp("127.0.0.1", atoi(argv[2]));
        int listener = modbus_tcp_listen(bus, 1);
        if (listener == -1) {
            perror("listen");
            return 1;
        }
        for (;;) {
            modbus_tcp_accept(bus, &listener);
            answer(bus, mapping);
            modbus_close(bus);
        }
    }
    modbus_t *bus = modbus_new_rtu(argv[2], 115200, 'N', 8, 1);
    modbus_set_slave(bus, 17);
    if (modbus_connect(bus) == -1) {
        perror(argv[2]);
        return 1;
    }
    for (;;)
        answer(bus, mapping);
}
