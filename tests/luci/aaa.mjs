// A RADIUS server of a manufacturer, as far as a test of it goes: it answers Status-Server (RFC 5997).

import { createHash, createHmac } from 'node:crypto';
import { createSocket } from 'node:dgram';

const ACCESS_ACCEPT = 2, STATUS_SERVER = 12, MESSAGE_AUTHENTICATOR = 80;

export class Aaa {
	/** Listens on a port of 127.0.0.1. */
	static async start(secret) {
		const aaa = new Aaa();
		aaa.answered = 0;
		aaa.socket = createSocket('udp4');
		aaa.socket.on('message', (request, from) => {
			if (request[0] != STATUS_SERVER)
				return;

			/* Message-Authenticator is made with the Request Authenticator in its place, then comes the Response Authenticator. */
			const reply = Buffer.alloc(20 + 18);
			reply[0] = ACCESS_ACCEPT;
			reply[1] = request[1];
			reply.writeUInt16BE(reply.length, 2);
			request.copy(reply, 4, 4, 20);
			reply[20] = MESSAGE_AUTHENTICATOR;
			reply[21] = 18;
			createHmac('md5', secret).update(reply).digest().copy(reply, 22);
			createHash('md5').update(reply).update(secret).digest().copy(reply, 4);
			aaa.answered++;
			aaa.socket.send(reply, from.port, from.address);
		});
		await new Promise(done => aaa.socket.bind(0, '127.0.0.1', done));
		aaa.port = aaa.socket.address().port;
		return aaa;
	}

	async close() {
		await new Promise(done => this.socket.close(done));
	}
}
